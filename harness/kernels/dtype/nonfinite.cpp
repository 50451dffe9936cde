#include "harness/kernels/dtype/nonfinite.h"

#include <ATen/ATen.h>

#include <atomic>

#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/launch.h"

namespace assay {

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
  std::atomic<int64_t> total{0};
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    int64_t bad = 0;
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        bad += nonfinite_run(operands[0], begin, size);
      });
    total += bad;
  });
  return total;
}

}  // namespace assay
