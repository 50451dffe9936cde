/// Regular files: checked before they are opened, and every read is checked.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace assay {

/// A file open for reading. Any other kind is rejected without being opened: a FIFO may block for
/// ever, a device may never end.
class RegularFile {
 public:
  /// DataError naming the path when there is none, it cannot be opened or it is not a regular file.
  explicit RegularFile(const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  const struct stat& status() const { return status_; }
  /// Reads up to `size` bytes; 0 only at the end of the file. DataError when the read fails.
  size_t read(char* data, size_t size) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  struct stat status_ {};
};

/// Whether a file or folder exists. DataError when that cannot be determined, and for a dangling
/// link (a pruned cache leaves those), which is not the same as a missing file.
bool file_exists(const std::filesystem::path& path);

/// Reads a file that the user wrote, as read_file() does, but also accepts a pipe from the shell
/// (/dev/stdin, /dev/fd/N). DataError as there.
std::string read_configuration(const std::filesystem::path& path);

}  // namespace assay
