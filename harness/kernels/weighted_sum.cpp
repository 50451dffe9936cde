#include "harness/kernels/weighted_sum.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/launch.h"

namespace assay {
namespace {

at::Tensor sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
               bool equal, Storage rounding, double exact_divisor) {
  std::vector<float> factors;
  for (const double weight : weights)
    factors.push_back(round_to(static_cast<float>(weight), rounding));
  const float divisor = round_to(static_cast<float>(exact_divisor), rounding);
  const Operands operands(tensors);
  const int n = operands.size();
  at::Tensor out = operands.like();
  count_flops((equal ? n : 2 * n - 1) + (divisor != 1.0f), operands.count());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      CudaLaunch launch(operands.device());
      cuda::weighted_sum(launch.upload(operands), launch.upload(factors), n, equal, divisor,
                         rounding, operands.count(), out.mutable_data_ptr<float>(),
                         launch.stream());
      return out;
    }
  float* result = out.mutable_data_ptr<float>();
  for_blocks(operands.count(), [&](int64_t, int64_t begin, int64_t end) {
    const BlockValues values(operands, begin, end);
    for (int64_t j = begin; j < end; ++j)
      result[j] = weighted_sum_element(
          n, [&](int i) { return values[i][j - begin]; }, factors.data(), equal, divisor, rounding);
  });
  return out;
}

}  // namespace

at::Tensor weighted_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                        Storage rounding, double divisor) {
  ASSAY_CHECK(tensors.size() == weights.size());
  return sum(tensors, weights, /*equal=*/false, rounding, divisor);
}

at::Tensor scaled_sum(const std::vector<at::Tensor>& tensors, double weight, Storage rounding) {
  return sum(tensors, {weight}, /*equal=*/true, rounding, 1.0);
}

}  // namespace assay
