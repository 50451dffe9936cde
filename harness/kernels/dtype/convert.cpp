#include "harness/kernels/dtype/convert.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/convert_device.h"
#include "harness/kernels/internal/launch.h"

namespace assay {

at::Tensor convert(const at::Tensor& from, at::ScalarType type) {
  if (from.scalar_type() == type) return from.contiguous();
  at::Tensor to = at::empty(from.sizes(), from.options().dtype(type));
  convert_into(from, to);
  return to;
}

void convert_into(const at::Tensor& from, at::Tensor& to) {
  const Operands operands({from});
  const DType storage = operands.check_result(to);
  if (from.scalar_type() == to.scalar_type()) {
    to.copy_(from);
    return;
  }
  void* out = to.mutable_data_ptr();
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const CudaLaunch launch(operands.device());
      cuda::convert(operands[0], out, storage, operands.count(), launch.stream());
      return;
    }
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    RunValues values(operands);
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        values.load(begin, size);
        store_run(values[0], begin, size, out, storage);
      });
  });
}

}  // namespace assay
