/// Scratch memory on disk, which may exceed the memory that the process may use.
#pragma once

#include <cstddef>
#include <filesystem>

namespace assay {

/// A memory-mapped, unnamed temporary file: the system removes it when the process ends, however it
/// ends. Released pages leave the process's memory and keep their contents.
class ScratchMemory {
 public:
  ScratchMemory() = default;
  /// `folder` exists; `bytes` of its disk are allocated at once. DataError when the disk has less
  /// space.
  ScratchMemory(const std::filesystem::path& folder, size_t bytes);
  ~ScratchMemory();
  ScratchMemory(ScratchMemory&& other) noexcept;
  ScratchMemory& operator=(ScratchMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// Bytes [begin, end) are not needed soon: the full pages within them leave the process's memory.
  void release(size_t begin, size_t end) const;

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace assay
