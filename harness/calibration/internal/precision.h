/// The dtypes that statistics compute and store in.
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

/// Of the parameters "compute" and "storage", in the order of their choices.
enum class Precision { kFloat32, kFloat64 };
inline at::ScalarType dtype_of(Precision precision) {
  return precision == Precision::kFloat64 ? at::kDouble : at::kFloat;
}

}  // namespace assay
