#include "harness/kernels/sums/dot_products.h"

#include <ATen/ATen.h>

#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/sums/runs.h"

namespace assay {

DotProducts dot_products(const std::vector<at::Tensor>& tensors) {
  const Operands operands(tensors);
  const int n = operands.size();
  const int64_t pairs = int64_t{n} * (n + 1) / 2, blocks = num_blocks(operands.count());
  count_flops(2 * pairs, operands.count());
  at::Tensor partials =
      at::empty({pairs, blocks}, at::device(operands.device()).dtype(at::kDouble));
  double* out = partials.mutable_data_ptr<double>();
  if (!operands.on_cuda()) {
    share_blocks(operands.count(), [&](BlockQueue& queue) {
      RunValues values(operands);
      std::vector<double> lanes(static_cast<size_t>(pairs * kLanes));
      for (Block block; queue.next(block);) {
        std::fill(lanes.begin(), lanes.end(), 0.0);
        for_runs(block, [&](int64_t begin, int64_t size) {
          values.load(begin, size);
          double* pair = lanes.data();
          for (int i = 0; i < n; ++i)
            for (int j = i; j < n; ++j, pair += kLanes)
              add_products(values[i], values[j], size, pair);
        });
        for (int64_t pair = 0; pair < pairs; ++pair)
          out[pair * blocks + block.index] = lane_sum(&lanes[static_cast<size_t>(pair * kLanes)]);
      }
    });
  } else if constexpr (kCudaKernels) {
    CudaLaunch launch(operands.device());
    cuda::dot_products(launch.upload(operands), n, operands.count(), blocks, out, launch.stream());
    partials = partials.cpu();
    out = partials.mutable_data_ptr<double>();
  }
  DotProducts result(n);
  int64_t pair = 0;
  for (int i = 0; i < n; ++i)
    for (int j = i; j < n; ++j, ++pair) {
      double sum = 0;
      for (int64_t block = 0; block < blocks; ++block) sum += out[pair * blocks + block];
      result.add(i, j, sum);
    }
  return result;
}

}  // namespace assay
