/// Files that are looked at before they are opened, and whose reads are checked.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace assay {

/// A file open for reading. What is no regular file is refused without being opened: a FIFO may
/// wait for ever, a device may never end.
class RegularFile {
 public:
  /// DataError naming the path when there is none, it cannot be opened or is no regular file.
  explicit RegularFile(const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  const struct stat& status() const { return status_; }
  /// Reads up to `size` bytes; 0 at the end of the file only. DataError when the read fails.
  size_t read(char* data, size_t size) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  struct stat status_ {};
};

/// Whether there is something at the path. DataError when that cannot be found out, and for a link
/// that leads nowhere, as a pruned cache holds: it is never the same as no file.
bool is_there(const std::filesystem::path& path);

/// A file that the user wrote: as read_file(), and also what a shell passes as /dev/stdin or
/// /dev/fd/N. DataError as there.
std::string read_configuration(const std::filesystem::path& path);

}  // namespace assay
