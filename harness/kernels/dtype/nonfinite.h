/// How many values are NaN or infinite.
#pragma once

#include "harness/kernels/dtype/dtype.h"

namespace at {
class Tensor;
}

namespace assay {

/// Any dtype of DType; a float64 value too large for float32, in which all
/// merging is computed, counts as infinite.
int64_t count_nonfinite(const at::Tensor& tensor);

namespace cuda {
/// Adds to *count, on the device.
void count_nonfinite(Operand operand, int64_t elements, unsigned long long* count, void* stream);
}  // namespace cuda

}  // namespace assay
