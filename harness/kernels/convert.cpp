#include "harness/kernels/convert.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/convert_device.h"
#include "harness/kernels/launch.h"

namespace assay {

at::Tensor convert(const at::Tensor& from, at::ScalarType type) {
  if (from.scalar_type() == type) return from.contiguous();
  at::Tensor to = at::empty(from.sizes(), from.options().dtype(type));
  convert_into(from, to);
  return to;
}

void convert_into(const at::Tensor& from, at::Tensor& to) {
  ASSAY_CHECK(to.is_contiguous() && to.sizes() == from.sizes() && to.device() == from.device());
  if (from.scalar_type() == to.scalar_type()) {
    to.copy_(from);
    return;
  }
  const Operands operands({from});
  const Storage storage = storage_of(to.scalar_type());
  void* out = to.mutable_data_ptr();
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const CudaLaunch launch(operands.device());
      cuda::convert(operands[0], out, storage, operands.count(), launch.stream());
      return;
    }
  for_blocks(operands.count(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) store(out, storage, j, load(operands[0], j));
  });
}

}  // namespace assay
