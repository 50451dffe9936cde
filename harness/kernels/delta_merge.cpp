#include "harness/kernels/delta_merge.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_block.h"
#include "harness/kernels/launch.h"

namespace assay {
namespace {

int64_t reduce_flops(int64_t experts, const DeltaRule& rule) {
  const int64_t sum = experts - 1, election = rule.elect == Elect::kMass ? sum : 0;
  switch (rule.reduce) {
    case Reduce::kSumAll:
      return sum;
    case Reduce::kMeanAgree:
      return election + sum + 1;
    case Reduce::kSumAgree:
      return election + sum;
    case Reduce::kMaxAgree:
      return election;
    case Reduce::kWeightedMeanAgree:
      return election + 2 * sum + 1;
  }
  return 0;
}

}  // namespace

int64_t delta_flops(const std::vector<DeltaTerm>& terms) {
  int64_t flops = 0;
  for (const DeltaTerm& term : terms)
    flops += 1 + (term.drop > 0.0f) + (term.rescale != 1.0f) + (term.weight != 1.0f);
  return flops;
}

at::Tensor delta_merge(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                       const std::vector<DeltaTerm>& terms, const DeltaRule& rule, int64_t offset) {
  ASSAY_CHECK(!terms.empty() && terms.size() == experts.size());
  for (const DeltaTerm& term : terms) ASSAY_CHECK(term.rounding == rule.rounding);
  ASSAY_CHECK(offset % 4 == 0);
  const Operands operands(base, experts);
  const int n = operands.size() - 1;
  at::Tensor out = operands.like();
  count_flops(delta_flops(terms) + reduce_flops(n, rule) + 2, operands.count());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      CudaLaunch launch(operands.device());
      cuda::delta_merge(launch.upload(operands), launch.upload(terms), n, rule, offset,
                        operands.count(), out.mutable_data_ptr<float>(), launch.stream());
      return out;
    }
  float* result = out.mutable_data_ptr<float>();
  for_blocks(operands.count(), [&](int64_t, int64_t begin, int64_t end) {
    const BlockValues values(operands, begin, end);
    // Terms are worked out once per block, as the election and the reduction both read them.
    const int64_t size = end - begin;
    const std::vector<float> room = term_block(values, terms, offset + begin, size);
    for (int64_t j = 0; j < size; ++j)
      result[begin + j] = merge_element(
          n, [&](int i) { return room[static_cast<size_t>(i * size + j)]; }, values[0][j],
          terms.data(), rule);
  });
  return out;
}

}  // namespace assay
