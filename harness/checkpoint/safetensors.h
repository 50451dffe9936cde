/// The safetensors format: 8 bytes little-endian header length, a JSON header, then the tensors'
/// bytes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// One file, memory-mapped read-only for as long as it or any tensor read from it lives.
class SafetensorsFile : public std::enable_shared_from_this<SafetensorsFile> {
 public:
  /// DataError naming the file and the tensor on anything that is not a whole, consistent file:
  /// short file, header that is no JSON object, unknown dtype, shape and size that disagree, data
  /// outside the file, overlaps or gaps.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  /// In name order.
  const std::vector<TensorInfo>& tensors() const { return infos_; }
  /// Shares the mapping; `index` into tensors(). Adds to counters::bytes_read.
  at::Tensor read(size_t index) const;

 private:
  SafetensorsFile() = default;
  void parse_header();

  std::filesystem::path path_;
  const char* mapping_ = nullptr;
  size_t size_ = 0;
  std::vector<TensorInfo> infos_;
  std::vector<size_t> offsets_;  // of the data in the file, one per entry of infos_
};

/// Writes one file (no temporary name: callers write whole folders). Adds to
/// counters::bytes_written.
void write_safetensors(const std::filesystem::path& path, const StateDict& tensors);

}  // namespace assay
