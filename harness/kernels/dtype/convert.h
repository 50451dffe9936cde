/// Whole tensors in the dtypes of DType: conversions, each by way of float32 with one rounding to
/// nearest even (see conversions.h), and how many values are finite.
#pragma once

#include "harness/kernels/dtype/dtype.h"

namespace at {
class Tensor;
}
namespace c10 {
enum class ScalarType : int8_t;
}

namespace assay {

/// The tensor in another dtype of DType, contiguous; itself where it is that already. Gives what
/// at::Tensor::to() gives, but for the bits of NaN.
at::Tensor convert(const at::Tensor& from, c10::ScalarType type);
/// The same into a contiguous tensor of the same shape and device.
void convert_into(const at::Tensor& from, at::Tensor& to);

/// How many values are NaN or infinite. A float64 value too large for float32, in which all merging
/// is computed, counts as infinite.
int64_t count_nonfinite(const at::Tensor& tensor);

namespace cuda {
/// Device pointers; `to` takes `elements` values of the dtype.
void convert(Operand from, void* to, DType storage, int64_t elements, void* stream);
/// Adds to *count, on the device.
void count_nonfinite(Operand operand, int64_t elements, unsigned long long* count, void* stream);
}  // namespace cuda

}  // namespace assay
