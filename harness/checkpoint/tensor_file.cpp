#include "harness/checkpoint/tensor_file.h"

namespace assay {

at::Tensor TensorFile::read(size_t index) const {
  const TensorInfo& info = tensors().at(index);
  return read_part(index, 0, info.numel()).view(info.shape);
}

}  // namespace assay
