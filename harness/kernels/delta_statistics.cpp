#include "harness/kernels/delta_statistics.h"

#include <ATen/ATen.h>

#include <atomic>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_block.h"
#include "harness/kernels/delta_merge.h"
#include "harness/kernels/launch.h"

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
  for_blocks(operands.count(), [&](int64_t, int64_t begin, int64_t end) {
    const BlockValues values(operands, begin, end);
    const int64_t size = end - begin;
    const std::vector<float> room = term_block(values, terms, offset + begin, size);
    int64_t sum = 0;
    for (int64_t j = 0; j < size; ++j)
      sum += elect_element(
          n, [&](int i) { return room[static_cast<size_t>(i * size + j)]; }, elect);
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
    for_blocks(operands.count(), [&](int64_t block, int64_t begin, int64_t end) {
      const BlockValues values(operands, begin, end);
      std::vector<float> deltas(static_cast<size_t>(end - begin));
      delta_block(values[1], values[0], term, offset + begin, end - begin, deltas.data());
      double sum = 0;
      for (const float delta : deltas) sum += std::fabs(static_cast<double>(delta));
      partials[static_cast<size_t>(block)] = sum;
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
