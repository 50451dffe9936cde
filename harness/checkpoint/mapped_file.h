/// Memory-mapped files, which other programs may change or truncate meanwhile.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace assay {

struct MappedRange;

/// A regular file, mapped read-only. Where its bytes become unreadable (the file was truncated, the
/// disk fails), a reader gets zeros instead of SIGBUS, and check_mapped_files() throws.
class MappedFile {
 public:
  /// DataError when it cannot be read.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const;

 private:
  MappedRange* range_;
};

/// DataError naming a file whose bytes became unreadable while mapped, at any time in this process
/// until its path was mapped again. Results computed from it must be discarded.
void check_mapped_bytes();

/// Likewise, and naming a file that is mapped now and has changed since (size, time, inode). Checks
/// the named lone files and the files in the named folders, by their latest mapping; all files when
/// none is named.
void check_mapped_files(const std::vector<std::filesystem::path>& models = {});

}  // namespace assay
