/// Files mapped for reading, which other programs may change or cut short meanwhile.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace assay {

struct MappedRange;

/// A regular file, mapped read-only. Where its bytes go away under a reader (the file was cut, the
/// disk fails), zeros are read in place of a signal, and check_mapped_files() says so.
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

/// DataError naming a file whose bytes went away under a reader, at any time in this process until
/// its path was mapped anew. What was made of it is to be thrown away.
void check_mapped_bytes();

/// Likewise, and naming a file that is mapped now and has changed since (size, time, inode). Of the
/// lone files and the files of the folders that are named, as they were mapped last: who names them
/// has opened them since they changed. Of all when none is named.
void check_mapped_files(const std::vector<std::filesystem::path>& models = {});

}  // namespace assay
