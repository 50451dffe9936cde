/// A file of a size known beforehand, written in pieces in any order, and memory that suits it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace assay {

/// Large pieces go to the disk past the page cache where the file system can do that: the copy
/// into the cache costs more than merging does, and pushes out the inputs that are to be read.
class ShardFile {
 public:
  ShardFile() = default;
  /// Makes the file and sets its size, so that one that may not be so large is found now and not
  /// after the work. DataError when it cannot.
  ShardFile(std::filesystem::path path, int64_t size);
  ~ShardFile();
  ShardFile(ShardFile&& other) noexcept;
  ShardFile& operator=(ShardFile&& other) noexcept;

  /// One thread at a time. What lies in memory as in the file, modulo kPage, goes past the cache.
  /// DataError with the system's reason.
  void write(const char* data, int64_t size, int64_t offset);
  void write(std::string_view data, int64_t offset);
  /// Waits until all of it is on the disk, whoever wrote it. DataError when that fails.
  void sync();
  /// Gives the descriptors back; the next write or sync opens the file again.
  void close();

  static constexpr int64_t kPage = 4096;

 private:
  bool write_direct(const char* data, int64_t size, int64_t offset);
  void write_cached(const char* data, int64_t size, int64_t offset);
  void open(int flags);

  std::filesystem::path path_;
  static constexpr int kNoSuchWay = -1, kNotTried = -2;
  int cached_ = -1, direct_ = kNotTried;  // descriptors
};

/// Memory that goes round between who makes values and who writes them: a merge would else ask the
/// system for the whole of its result, piece by piece.
class WriteRooms : public std::enable_shared_from_this<WriteRooms> {
 public:
  /// Uninitialised [count] for what goes to byte `offset` of a file, aligned for its dtype.
  at::Tensor take(at::ScalarType dtype, int64_t count, int64_t offset);

 private:
  struct Free {
    void operator()(char* data) const;
  };
  struct Room {
    std::unique_ptr<char[], Free> data;
    int64_t bytes = 0;
  };
  Room find(int64_t bytes);

  std::mutex mutex_;
  std::vector<Room> free_;
};

}  // namespace assay
