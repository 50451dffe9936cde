/// Conversions among the dtypes of DType, each by way of float32 with one rounding to nearest
/// even: see element.h.
#pragma once

#include <c10/core/ScalarType.h>

namespace at {
class Tensor;
}

namespace assay {

/// The tensor in another dtype of DType, contiguous; itself where it is that already. Gives what
/// at::Tensor::to() gives, but for the bits of NaN.
at::Tensor convert(const at::Tensor& from, at::ScalarType type);

/// The same into a contiguous tensor of the same shape and device.
void convert_into(const at::Tensor& from, at::Tensor& to);

}  // namespace assay
