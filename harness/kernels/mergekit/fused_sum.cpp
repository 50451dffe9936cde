#include "harness/kernels/mergekit/fused_sum.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/isa.h"
#include "harness/kernels/internal/launch.h"

namespace assay {
namespace {

// Products of floats are exact in double, so that only the sum is rounded: to double and to float.
ASSAY_VECTORISED
void add_row(const float* __restrict row, double weight, int64_t size, float* __restrict sums) {
  for (int64_t j = 0; j < size; ++j)
    sums[j] =
        static_cast<float>(static_cast<double>(sums[j]) + static_cast<double>(row[j]) * weight);
}

ASSAY_VECTORISED
void divide_row(float divisor, int64_t size, float* __restrict sums) {
  for (int64_t j = 0; j < size; ++j) sums[j] /= divisor;
}

}  // namespace

at::Tensor fused_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                     float divisor) {
  ASSAY_CHECK(tensors.size() == weights.size());
  const Operands operands(tensors);
  at::Tensor out = float32_like(tensors);
  std::vector<double> factors;
  for (const double weight : weights)
    factors.push_back(static_cast<double>(static_cast<float>(weight)));
  count_flops(2 * operands.size() - 1 + (divisor != 1.0f), operands.count());
  if (operands.on_cuda()) {
    out.zero_();
    for (size_t i = 0; i < tensors.size(); ++i)
      out.copy_(out.to(at::kDouble) + tensors[i].to(at::kDouble) * factors[i]);
    return out.div_(divisor);
  }
  float* result = out.mutable_data_ptr<float>();
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    RunValues values(operands);
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        values.load(begin, size);
        std::fill_n(result + begin, size, 0.0f);
        for (size_t i = 0; i < factors.size(); ++i)
          add_row(values.rows()[i], factors[i], size, result + begin);
        if (divisor != 1.0f) divide_row(divisor, size, result + begin);
      });
  });
  return out;
}

}  // namespace assay
