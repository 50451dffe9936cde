/// Sums of tensors in their order, in float32: w_0 x_0 + w_1 x_1 + ..., or w (x_0 + x_1 + ...).
#pragma once

#include <vector>

#include "harness/kernels/element.h"

namespace at {
class Tensor;
}

namespace assay {

/// `value(i)` gives operand i. With `equal`, all weights are weights[0] and the sum is multiplied
/// once.
template <typename Value>
ASSAY_HOST_DEVICE inline float weighted_sum_element(int count, const Value& value,
                                                    const float* weights, bool equal) {
  float sum = equal ? value(0) : weights[0] * value(0);
  for (int i = 1; i < count; ++i) sum += equal ? value(i) : weights[i] * value(i);
  return equal ? sum * weights[0] : sum;
}

/// Tensors of one shape and device, each in any dtype of Storage; one weight per tensor. Returns
/// float32 of that shape and device.
at::Tensor weighted_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights);

/// The sum of the tensors, multiplied once.
at::Tensor scaled_sum(const std::vector<at::Tensor>& tensors, double weight);

namespace cuda {
/// Device pointers; `operands` and `weights` hold `count` entries each.
void weighted_sum(const Operand* operands, const float* weights, int count, bool equal,
                  int64_t elements, float* out, void* stream);
}  // namespace cuda

}  // namespace assay
