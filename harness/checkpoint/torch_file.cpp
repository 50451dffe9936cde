#include "harness/checkpoint/torch_file.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/checkpoint/internal/torch_storages.h"
#include "harness/core/cost.h"
#include "harness/core/error.h"

namespace assay {

bool is_torch_path(const std::filesystem::path& path) {
  const std::string end = path.extension().string();
  return end == ".pth" || end == ".pt" || end == ".bin" || end == ".ckpt";
}

std::shared_ptr<const TorchFile> TorchFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const TorchFile>(new TorchFile(path));
}

TorchFile::TorchFile(const std::filesystem::path& path)
    : storages_(TorchStorages::open(path)), tensors_(storages_->tensors()) {
  for (const PickledTensor& tensor : tensors_) {
    const uint64_t element = c10::elementSize(tensor.dtype);
    if (static_cast<uint64_t>(tensor.storage_numel) > storages_->bytes(tensor.storage) / element)
      data_error("{}: the storage of tensor '{}' is shorter than it should be: {} elements of {}",
                 path.string(), tensor.name, storages_->bytes(tensor.storage) / element,
                 tensor.storage_numel);
    infos_.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
}

TorchFile::~TorchFile() = default;

at::Tensor TorchFile::read_part(size_t index, int64_t first, int64_t count) const {
  const PickledTensor& tensor = tensors_.at(index);
  const auto element = static_cast<int64_t>(c10::elementSize(tensor.dtype));
  const auto values = [&](int64_t from, int64_t number) {
    at::Tensor read = at::empty({number}, tensor.dtype);
    counters::bytes_read += number * element;
    storages_->read(tensor.storage, static_cast<uint64_t>(from * element),
                    static_cast<uint64_t>(number * element), static_cast<char*>(read.data_ptr()));
    return read;
  };
  if (count == 0) return at::empty({0}, tensor.dtype);
  if (tensor.contiguous()) return values(tensor.offset + first, count);
  // Transposed, or channels last: its elements are spread over the storage.
  int64_t span = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    span += (tensor.shape[i] - 1) * tensor.strides[i];
  return values(tensor.offset, span)
      .as_strided(tensor.shape, tensor.strides)
      .flatten()
      .narrow(0, first, count);
}

}  // namespace assay
