/// Sums of tensors in their order, in float32: w_0 x_0 + w_1 x_1 + ..., or w (x_0 + x_1 + ...).
#pragma once

#include <vector>

#include "harness/kernels/dtype/dtype.h"

namespace at {
class Tensor;
}

namespace assay {

/// What one operand adds to the sum.
ASSAY_ELEMENT float weighted_value(float value, float weight, bool equal, DType rounding) {
  return equal ? value : round_to(weight * value, rounding);
}

/// The result, from the sum of the weighted values. A divisor of 1 divides nothing.
ASSAY_ELEMENT float weighted_result(float sum, float weight, bool equal, float divisor,
                                    DType rounding) {
  sum = round_to(sum, rounding);
  if (equal) sum = round_to(sum * weight, rounding);
  return divisor == 1.0f ? sum : round_to(sum / divisor, rounding);
}

/// `value(i)` gives operand i. With `equal`, all weights are weights[0] and the sum is multiplied
/// once. Each product, the sum and the quotient are rounded to `rounding`; the sum itself goes in
/// float32.
template <typename Value>
ASSAY_HOST_DEVICE inline float weighted_sum_element(int count, const Value& value,
                                                    const float* weights, bool equal, float divisor,
                                                    DType rounding) {
  float sum = weighted_value(value(0), weights[0], equal, rounding);
  for (int i = 1; i < count; ++i)
    sum += weighted_value(value(i), weights[equal ? 0 : i], equal, rounding);
  return weighted_result(sum, weights[0], equal, divisor, rounding);
}

/// Tensors of one shape and device, each in any dtype of DType; one weight per tensor. Returns
/// float32 of that shape and device. The sum is divided by `divisor`. Weights, divisor and every
/// result are rounded to `rounding`: float32, or the tensors' dtype for arithmetic as LibTorch does
/// it in that.
at::Tensor weighted_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                        DType rounding = DType::kFloat32, double divisor = 1.0);
/// The same into a contiguous tensor of that shape and device and any dtype of DType, rounded
/// once at the end; `out` may be one of the tensors.
void weighted_sum_into(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                       at::Tensor& out, DType rounding = DType::kFloat32, double divisor = 1.0);

/// The sum of the tensors, multiplied once.
at::Tensor scaled_sum(const std::vector<at::Tensor>& tensors, double weight,
                      DType rounding = DType::kFloat32);
void scaled_sum_into(const std::vector<at::Tensor>& tensors, double weight, at::Tensor& out,
                     DType rounding = DType::kFloat32);

namespace cuda {
/// Device pointers; `operands` and `weights` hold `count` entries each, `out` takes values of
/// the dtype `storage`.
void weighted_sum(const Operand* operands, const float* weights, int count, bool equal,
                  float divisor, DType rounding, int64_t elements, void* out, DType storage,
                  void* stream);
}  // namespace cuda

}  // namespace assay
