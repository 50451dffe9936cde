#include "harness/kernels/dtype/convert.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
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
  const auto make = [&] { return RunValues(operands); };
  share_runs(operands.count(), make, [&](RunValues& values, int64_t begin, int64_t size) {
    values.load(begin, size);
    store_run(values[0], begin, size, out, storage);
  });
}

int64_t count_nonfinite(const at::Tensor& tensor) {
  const Operands operands({tensor});
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const at::Tensor count = at::zeros({}, at::device(operands.device()).dtype(at::kLong));
      const CudaLaunch launch(operands.device());
      cuda::count_nonfinite(operands[0], operands.count(),
                            static_cast<unsigned long long*>(count.mutable_data_ptr()),
                            launch.stream());
      return count.item<int64_t>();
    }
  const auto make = [&] { return operands[0]; };
  return share_runs(operands.count(), make,
                    [](const Operand& operand, int64_t begin, int64_t size) {
                      return nonfinite_run(operand, begin, size);
                    });
}

}  // namespace assay
