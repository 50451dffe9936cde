/// Sums of tensors in their order, in float32: w_0 x_0 + w_1 x_1 + ..., or w (x_0 + x_1 + ...).
#pragma once

#include <vector>

#include "harness/kernels/element.h"

namespace at {
class Tensor;
}

namespace assay {

/// `value(i)` gives operand i. With `equal`, all weights are weights[0] and the sum is multiplied
/// once. Each product, the sum and the quotient are rounded to `rounding`; the sum itself goes in
/// float32. A divisor of 1 divides nothing.
template <typename Value>
ASSAY_HOST_DEVICE inline float weighted_sum_element(int count, const Value& value,
                                                    const float* weights, bool equal, float divisor,
                                                    Storage rounding) {
  float sum = equal ? value(0) : round_to(weights[0] * value(0), rounding);
  for (int i = 1; i < count; ++i)
    sum += equal ? value(i) : round_to(weights[i] * value(i), rounding);
  sum = round_to(sum, rounding);
  if (equal) sum = round_to(sum * weights[0], rounding);
  return divisor == 1.0f ? sum : round_to(sum / divisor, rounding);
}

/// Tensors of one shape and device, each in any dtype of Storage; one weight per tensor. Returns
/// float32 of that shape and device. The sum is divided by `divisor`. Weights, divisor and every
/// result are rounded to `rounding`: not float32 as in mergekit, which computes in the tensors'
/// dtype.
at::Tensor weighted_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                        Storage rounding = Storage::kFloat32, double divisor = 1.0);

/// The sum of the tensors, multiplied once.
at::Tensor scaled_sum(const std::vector<at::Tensor>& tensors, double weight,
                      Storage rounding = Storage::kFloat32);

namespace cuda {
/// Device pointers; `operands` and `weights` hold `count` entries each.
void weighted_sum(const Operand* operands, const float* weights, int count, bool equal,
                  float divisor, Storage rounding, int64_t elements, float* out, void* stream);
}  // namespace cuda

}  // namespace assay
