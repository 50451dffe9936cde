#include "harness/kernels/task_vector/delta_statistics.h"

#include <ATen/ATen.h>

#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/sums/runs.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/term_rows.h"
#include "harness/kernels/task_vector/vector_loops.h"

namespace assay {

int64_t elected_sign_sum(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                         const std::vector<DeltaTerm>& terms, Elect elect, int64_t offset) {
  ASSAY_CHECK(!terms.empty() && terms.size() == experts.size());
  const Operands operands(base, experts);
  const int n = operands.size() - 1;
  count_flops(delta_flops(terms) + (elect == Elect::kMass ? n - 1 : 0), operands.count());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const at::Tensor sum = at::zeros({}, at::device(operands.device()).dtype(at::kLong));
      for (const DeltaTerm& term : terms) ASSAY_CHECK(!term.keep_mask, "bits are on the host");
      CudaLaunch launch(operands.device());
      cuda::elected_sign_sum(launch.upload(operands), launch.upload(terms), n, elect, offset,
                             operands.count(), static_cast<long long*>(sum.mutable_data_ptr()),
                             launch.stream());
      return sum.item<int64_t>();
    }
  if (elect == Elect::kMass) {  // the sign of the sum
    const DeltaRule sum;        // not rounded: votes beyond e4m3's range would become NaN
    const auto make = [&] { return ReducedTerms(operands, terms, sum, offset); };
    return share_runs(operands.count(), make, [&](ReducedTerms& all, int64_t begin, int64_t size) {
      float votes[kRun];
      const float* row = votes;
      all.reduce(begin, size, votes);
      return sign_sum_run(&row, 1, elect, size);
    });
  }
  const auto make = [&] { return TermRows(operands, terms, offset); };
  return share_runs(operands.count(), make, [&](TermRows& rows, int64_t begin, int64_t size) {
    rows.load(begin, size);
    return sign_sum_run(rows.rows(), n, elect, size);
  });
}

DeltaNorms delta_l1_norms(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                          int64_t offset) {
  DeltaTerm unweighted = term;
  unweighted.weight = 1.0f;
  const std::vector<DeltaTerm> plain{{.rounding = term.rounding}}, terms{unweighted};
  const Operands operands(base, {expert});
  count_flops(delta_flops(plain) + delta_flops(terms) + 2, operands.count());
  const int64_t blocks = num_blocks(operands.count());
  std::vector<double> whole(static_cast<size_t>(blocks)), left(whole.size());
  if (!operands.on_cuda()) {
    share_blocks(operands.count(), [&](BlockQueue& queue) {
      // Sums of one term: the fastest loop over its values.
      const DeltaRule sum{.rounding = term.rounding};
      ReducedTerms all(operands, plain, sum, offset), kept(operands, terms, sum, offset);
      float values[kRun];
      RunMask mask;
      const bool bf16 = operands[0].storage == DType::kBFloat16 &&
                        operands[1].storage == DType::kBFloat16 &&
                        term.rounding == DType::kBFloat16;
      const auto loop =
          bf16 && term.drop > 0 && term.threshold == 0 ? vector_loops().norms : nullptr;
      for (Block block; queue.next(block);) {
        double whole_lanes[kLanes] = {}, left_lanes[kLanes] = {};
        for_runs(block, [&](int64_t begin, int64_t size) {
          if (loop && size % kVectorRun == 0) {
            keep_mask_run(terms[0], offset + begin, size, mask);
            return loop({operands.data(), terms.data(), &mask, begin, size}, whole_lanes,
                        left_lanes);
          }
          all.reduce(begin, size, values);
          add_magnitudes(values, size, whole_lanes);
          kept.reduce(begin, size, values);
          add_magnitudes(values, size, left_lanes);
        });
        whole[static_cast<size_t>(block.index)] = lane_sum(whole_lanes);
        left[static_cast<size_t>(block.index)] = lane_sum(left_lanes);
      }
    });
  } else if constexpr (kCudaKernels) {
    ASSAY_CHECK(!term.keep_mask, "bits are on the host");
    at::Tensor device = at::empty({2, blocks}, at::device(operands.device()).dtype(at::kDouble));
    const CudaLaunch launch(operands.device());
    auto* sums = device.mutable_data_ptr<double>();
    cuda::delta_l1_norms(operands[0], operands[1], term, offset, operands.count(), blocks, sums,
                         sums + blocks, launch.stream());
    device = device.cpu();
    std::copy_n(device.const_data_ptr<double>(), blocks, whole.begin());
    std::copy_n(device.const_data_ptr<double>() + blocks, blocks, left.begin());
  }
  return {std::accumulate(whole.begin(), whole.end(), 0.0),
          std::accumulate(left.begin(), left.end(), 0.0)};
}

}  // namespace assay
