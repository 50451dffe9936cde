/// A lock among processes that leaves no file.
#pragma once

#include <filesystem>
#include <optional>

namespace assay {

/// Held from take() until it goes away, or its process. The file is there as long; one that a
/// killed process left is taken over by the next.
class FileLock {
 public:
  /// Nothing when another process (or another lock of this one) holds it. DataError when the file
  /// cannot be made or locked.
  static std::optional<FileLock> take(std::filesystem::path path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  FileLock(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}

  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace assay
