/// A file of known size, written block by block in any order, and buffers for its blocks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace assay {

/// Direct I/O (O_DIRECT) for large blocks where the file system supports it. It bypasses the page
/// cache: a copy into the cache costs more than merging does, and evicts inputs that are still to
/// be read.
class ShardFile {
 public:
  ShardFile() = default;
  /// Creates the file and sets its size, so that a size limit fails now and not after the work.
  /// DataError when it cannot.
  ShardFile(std::filesystem::path path, int64_t size);
  ~ShardFile();
  ShardFile(ShardFile&& other) noexcept;
  ShardFile& operator=(ShardFile&& other) noexcept;

  /// One thread at a time. Direct I/O needs equal alignment in memory and file, modulo kPage.
  /// DataError with the system's reason.
  void write(const char* data, int64_t size, int64_t offset);
  void write(std::string_view data, int64_t offset);
  /// fsync: waits until all of it is on the disk, from all threads. DataError when that fails.
  void sync();
  /// Closes the descriptors; the next write or sync opens the file again.
  void close();

  static constexpr int64_t kPage = 4096;

 private:
  bool write_direct(const char* data, int64_t size, int64_t offset);
  void write_cached(const char* data, int64_t size, int64_t offset);
  void open(int flags);

  std::filesystem::path path_;
  static constexpr int kUnsupported = -1, kNotOpened = -2;
  int cached_ = -1, direct_ = kNotOpened;  // descriptors
};

/// A pool of write buffers, reused after each write: otherwise a merge would allocate the size of
/// its whole result, block by block.
class WriteBuffers : public std::enable_shared_from_this<WriteBuffers> {
 public:
  /// Uninitialised [count] for values written to byte `offset` of a file, aligned for its dtype.
  at::Tensor acquire(at::ScalarType dtype, int64_t count, int64_t offset);

 private:
  struct Free {
    void operator()(char* data) const;
  };
  struct Buffer {
    std::unique_ptr<char[], Free> data;
    int64_t bytes = 0;
  };
  Buffer reuse_or_allocate(int64_t bytes);

  std::mutex mutex_;
  std::vector<Buffer> free_;
};

}  // namespace assay
