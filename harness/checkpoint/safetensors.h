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
#include "harness/checkpoint/tensor_file.h"

namespace assay {

/// File names of a folder's weights: one file, or shards listed by an index.
inline constexpr const char* kWeightsName = "model.safetensors";
inline constexpr const char* kIndexName = "model.safetensors.index.json";

/// One file, memory-mapped read-only while it or any tensor read from it exists.
class SafetensorsFile : public TensorFile, public std::enable_shared_from_this<SafetensorsFile> {
 public:
  /// DataError naming the file and the tensor on anything that is not a complete, consistent file:
  /// short file, header that is not a JSON object, unknown dtype, shape and size that disagree,
  /// data outside the file, overlaps or gaps.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const override;
  void prefetch(size_t index, int64_t first, int64_t count) const override;
  void release(size_t index, int64_t first, int64_t count) const override;

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : file_(path) {}
  /// Of some elements.
  std::string_view bytes(size_t index, int64_t first, int64_t count) const;

  MappedFile file_;
  std::vector<TensorInfo> infos_;
  std::vector<size_t> offsets_;  // of the data in the file, one per entry of infos_
};

/// The content of one file.
std::string safetensors_bytes(const StateDict& tensors);

}  // namespace assay
