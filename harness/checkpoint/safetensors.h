/// The safetensors format: 8 bytes little-endian header length, a JSON header, then the tensors'
/// bytes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/checkpoint/internal/safetensors_header.h"
#include "harness/checkpoint/mapped_file.h"
#include "harness/checkpoint/tensors.h"

namespace assay {

/// File names of a folder's weights: one file, or shards listed by an index.
inline constexpr const char* kWeightsName = "model.safetensors";
inline constexpr const char* kIndexName = "model.safetensors.index.json";

/// One file, memory-mapped read-only while it or any tensor read from it exists.
class SafetensorsFile : public std::enable_shared_from_this<SafetensorsFile> {
 public:
  /// DataError naming the file and the tensor on anything that is not a complete, consistent file:
  /// short file, header that is not a JSON object, unknown dtype, shape and size that disagree,
  /// data outside the file, overlaps or gaps.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  /// In name order.
  const std::vector<TensorInfo>& tensors() const { return infos_; }
  /// Shares the mapping; `index` into tensors(). Adds to counters::bytes_read.
  at::Tensor read(size_t index) const;
  /// Elements [first, first + count) of the flattened tensor, likewise.
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const;
  /// madvise on those elements: MADV_WILLNEED (prefetch) and MADV_DONTNEED (release).
  void prefetch(size_t index, int64_t first, int64_t count) const;
  void release(size_t index, int64_t first, int64_t count) const;

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : file_(path) {}
  /// The pages that contain some elements: address and bytes.
  std::pair<char*, size_t> pages(size_t index, int64_t first, int64_t count) const;

  const char* data() const { return file_.bytes().data(); }

  MappedFile file_;
  std::vector<TensorInfo> infos_;
  std::vector<size_t> offsets_;  // of the data in the file, one per entry of infos_
};

/// The content of one file.
std::string safetensors_bytes(const StateDict& tensors);

}  // namespace assay
