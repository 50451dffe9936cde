#include "harness/checkpoint/internal/shard_file.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "harness/core/cost.h"
#include "harness/core/error.h"

namespace assay {
namespace {

// Smaller blocks gain nothing from direct I/O.
constexpr int64_t kMinDirectBytes = int64_t{256} << 10;
// All parts of tensors fit into buffers of this size, whatever their dtype, and nearly all have it.
constexpr int64_t kBufferBytes = (int64_t{8} << 20) + ShardFile::kPage;
constexpr auto kBufferAlignment = static_cast<std::align_val_t>(ShardFile::kPage);

[[noreturn]] void disk_error(const std::filesystem::path& path, int reason) {
  data_error("cannot write '{}': {}", path.string(), std::strerror(reason));
}

int64_t round_up_to_page(int64_t bytes) {
  return (bytes + ShardFile::kPage - 1) / ShardFile::kPage * ShardFile::kPage;
}

int64_t offset_in_page(int64_t offset) { return offset % ShardFile::kPage; }

int64_t offset_in_page(const char* data) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(data) % ShardFile::kPage);
}

}  // namespace

ShardFile::ShardFile(std::filesystem::path path, int64_t size) : path_(std::move(path)) {
  open(O_CREAT | O_TRUNC);
  // No fallocate(): reserving the disk space as well would slow the writes by a tenth.
  if (::ftruncate(cached_, size) != 0) {
    const int reason = errno;
    close();
    disk_error(path_, reason);
  }
}

ShardFile::~ShardFile() { close(); }

ShardFile::ShardFile(ShardFile&& other) noexcept
    : path_(std::move(other.path_)),
      cached_(std::exchange(other.cached_, -1)),
      direct_(std::exchange(other.direct_, kNotOpened)) {}

ShardFile& ShardFile::operator=(ShardFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(cached_, other.cached_);
  std::swap(direct_, other.direct_);
  return *this;
}

void ShardFile::open(int flags) {
  constexpr int kMode = 0644;
  if (cached_ >= 0) return;
  cached_ = ::open(path_.c_str(), flags | O_RDWR | O_CLOEXEC, kMode);
  if (cached_ < 0) disk_error(path_, errno);
}

void ShardFile::close() {
  if (direct_ >= 0) ::close(direct_);
  if (cached_ >= 0) ::close(cached_);
  cached_ = -1;
  if (direct_ != kUnsupported) direct_ = kNotOpened;
}

void ShardFile::write(std::string_view data, int64_t offset) {
  write(data.data(), static_cast<int64_t>(data.size()), offset);
}

void ShardFile::write(const char* data, int64_t size, int64_t offset) {
  counters::bytes_written += size;
  const int64_t first = round_up_to_page(offset),
                last = offset + size - offset_in_page(offset + size);
  const int64_t head = first - offset, middle = last - first;
  if (middle < kMinDirectBytes || offset_in_page(data) != offset_in_page(offset) ||
      !write_direct(data + head, middle, first))
    return write_cached(data, size, offset);
  // The first and last page, shared with neighbouring writes.
  write_cached(data, head, offset);
  write_cached(data + head + middle, size - head - middle, last);
}

bool ShardFile::write_direct(const char* data, int64_t size, int64_t offset) {
  if (direct_ == kNotOpened) direct_ = ::open(path_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (direct_ < 0) return false;
  while (size > 0) {
    const ssize_t written = ::pwrite(direct_, data, static_cast<size_t>(size), offset);
    if (written < 0 && errno == EINTR) continue;
    // EINVAL: the file system accepted O_DIRECT at open() and does not support it.
    if (written < 0 && errno == EINVAL) {
      ::close(std::exchange(direct_, kUnsupported));
      return false;
    }
    if (written <= 0) disk_error(path_, written < 0 ? errno : ENOSPC);
    data += written;
    size -= written;
    offset += written;
  }
  return true;
}

void ShardFile::write_cached(const char* data, int64_t size, int64_t offset) {
  open(0);
  const int64_t begin = offset, bytes = size;
  while (size > 0) {
    const ssize_t written = ::pwrite(cached_, data, static_cast<size_t>(size), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) disk_error(path_, written < 0 ? errno : ENOSPC);
    data += written;
    size -= written;
    offset += written;
  }
  // Starts write-back now, so that the final fsync has little left. A hint: it may fail.
  if (bytes >= kMinDirectBytes) ::sync_file_range(cached_, begin, bytes, SYNC_FILE_RANGE_WRITE);
}

void ShardFile::sync() {
  open(0);
  if (::fsync(cached_) != 0 || (direct_ >= 0 && ::fsync(direct_) != 0)) disk_error(path_, errno);
}

void WriteBuffers::Free::operator()(char* data) const {
  ::operator delete[](data, kBufferAlignment);
}

at::Tensor WriteBuffers::acquire(at::ScalarType dtype, int64_t count, int64_t offset) {
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t bytes = count * element;
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  // In files elements may be unaligned, in memory they must not.
  if (bytes < kMinDirectBytes || offset % element != 0) return at::empty({count}, options);
  Buffer buffer = reuse_or_allocate(bytes + ShardFile::kPage);
  void* data = buffer.data.get() + offset_in_page(offset);
  auto release = [self = shared_from_this(),
                  held = std::make_shared<Buffer>(std::move(buffer))](void*) {
    const std::lock_guard lock(self->mutex_);
    self->free_.push_back(std::move(*held));
  };
  return at::from_blob(data, {count}, release, options);
}

WriteBuffers::Buffer WriteBuffers::reuse_or_allocate(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  for (Buffer& buffer : free_)
    if (buffer.bytes >= bytes) {
      std::swap(buffer, free_.back());
      Buffer found = std::move(free_.back());
      free_.pop_back();
      return found;
    }
  const int64_t size = std::max(bytes, kBufferBytes);
  auto* data = static_cast<char*>(::operator new[](static_cast<size_t>(size), kBufferAlignment));
  return {std::unique_ptr<char[], Free>(data), size};
}

}  // namespace assay
