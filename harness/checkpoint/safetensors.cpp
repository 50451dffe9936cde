#include "harness/checkpoint/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/checkpoint/internal/mapped_values.h"
#include "harness/core/cost.h"
#include "harness/core/error.h"

namespace assay {

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(path));
  for (SafetensorsEntry& entry : parse_safetensors_header(file->file_.bytes(), path.string())) {
    file->infos_.push_back(std::move(entry.info));
    file->offsets_.push_back(entry.offset);
  }
  return file;
}

at::Tensor SafetensorsFile::read_part(size_t index, int64_t first, int64_t count) const {
  const std::string_view values = bytes(index, first, count);
  counters::bytes_read += static_cast<int64_t>(values.size());
  return mapped_values(values.data(), count, infos_[index].dtype, shared_from_this());
}

void SafetensorsFile::prefetch(size_t index, int64_t first, int64_t count) const {
  prefetch_pages(bytes(index, first, count));
}

void SafetensorsFile::release(size_t index, int64_t first, int64_t count) const {
  release_pages(bytes(index, first, count));
}

std::string_view SafetensorsFile::bytes(size_t index, int64_t first, int64_t count) const {
  const size_t element_bytes = c10::elementSize(infos_.at(index).dtype);
  return file_.bytes().substr(offsets_[index] + static_cast<size_t>(first) * element_bytes,
                              static_cast<size_t>(count) * element_bytes);
}

std::string safetensors_bytes(const StateDict& tensors) {
  std::string bytes = safetensors_header(tensor_infos(tensors));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor data = tensor.cpu().contiguous();
    bytes.append(static_cast<const char*>(data.data_ptr()), data.nbytes());
  }
  return bytes;
}

}  // namespace assay
