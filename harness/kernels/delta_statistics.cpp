#include "harness/kernels/delta_statistics.h"

#include <ATen/ATen.h>

#include <atomic>
#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_merge.h"
#include "harness/kernels/launch.h"
#include "harness/kernels/loops_delta.h"
#include "harness/kernels/term_rows.h"

namespace assay {

int64_t elected_sign_sum(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                         const std::vector<DeltaTerm>& terms, Elect elect, int64_t offset) {
  ASSAY_CHECK(!terms.empty() && terms.size() == experts.size());
  ASSAY_CHECK(offset % 4 == 0);
  const Operands operands(base, experts);
  const int n = operands.size() - 1;
  count_flops(delta_flops(terms) + (elect == Elect::kMass ? n - 1 : 0), operands.count());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const at::Tensor sum = at::zeros({}, at::device(operands.device()).dtype(at::kLong));
      CudaLaunch launch(operands.device());
      cuda::elected_sign_sum(launch.upload(operands), launch.upload(terms), n, elect, offset,
                             operands.count(), static_cast<long long*>(sum.mutable_data_ptr()),
                             launch.stream());
      return sum.item<int64_t>();
    }
  std::atomic<int64_t> total{0};
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    TermRows rows(operands, terms, offset);
    int32_t signs[kRun];
    int64_t sum = 0;
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        rows.load(begin, size);
        elect_run(rows.rows(), n, elect, /*tie_sign=*/0, size, signs);
        sum += sign_sum_run(signs, size);
      });
    total += sum;
  });
  return total;
}

double delta_l1_norm(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                     int64_t offset) {
  ASSAY_CHECK(offset % 4 == 0);
  const Operands operands(base, {expert});
  count_flops(delta_flops({term}) + 1, operands.count());
  const int64_t blocks = num_blocks(operands.count());
  std::vector<double> partials(static_cast<size_t>(blocks));
  if (!operands.on_cuda()) {
    share_blocks(operands.count(), [&](BlockQueue& queue) {
      RunValues values(operands);
      float deltas[kRun];
      for (Block block; queue.next(block);) {
        double lanes[kLanes] = {};
        for_runs(block, [&](int64_t begin, int64_t size) {
          values.load(begin, size);
          delta_run(values[1], values[0], term, offset + begin, size, deltas);
          add_magnitudes(deltas, size, lanes);
        });
        partials[static_cast<size_t>(block.index)] = lane_sum(lanes);
      }
    });
  } else if constexpr (kCudaKernels) {
    at::Tensor device = at::empty({blocks}, at::device(operands.device()).dtype(at::kDouble));
    const CudaLaunch launch(operands.device());
    cuda::delta_l1_norm(operands[0], operands[1], term, offset, operands.count(), blocks,
                        device.mutable_data_ptr<double>(), launch.stream());
    device = device.cpu();
    std::copy_n(device.const_data_ptr<double>(), blocks, partials.begin());
  }
  return std::accumulate(partials.begin(), partials.end(), 0.0);
}

}  // namespace assay
