/// An advisory lock (flock) between processes. Its file is removed with it.
#pragma once

#include <filesystem>
#include <optional>

namespace assay {

/// Held from try_lock() until it is destroyed or its process ends. The lock file exists as long.
/// The next process reuses a lock file that a killed one left.
class FileLock {
 public:
  /// Absent when another process (or another lock of this one) holds it. DataError when the file
  /// cannot be created or locked.
  static std::optional<FileLock> try_lock(std::filesystem::path path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  FileLock(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}

  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace assay
