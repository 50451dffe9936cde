/// Working memory that may be larger than what a process is allowed to hold.
#pragma once

#include <cstddef>
#include <filesystem>

namespace assay {

/// A temporary file without a name, mapped: the system removes it with the process, however that
/// ends. Its pages leave the process when they are released, and keep their contents.
class ScratchMemory {
 public:
  ScratchMemory() = default;
  /// `folder` exists; the file takes `bytes` of its disk at once. DataError when it has no room.
  ScratchMemory(const std::filesystem::path& folder, size_t bytes);
  ~ScratchMemory();
  ScratchMemory(ScratchMemory&& other) noexcept;
  ScratchMemory& operator=(ScratchMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// Bytes [begin, end) are not needed soon: the whole pages among them leave the process.
  void release(size_t begin, size_t end) const;

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace assay
