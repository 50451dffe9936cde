/// The CUDA half of convert.h, which LibTorch's headers keep from being read by the CUDA compiler.
#pragma once

#include "harness/kernels/dtype/dtype.h"

namespace assay::cuda {

/// Device pointers; `to` has room for `elements` values of the dtype.
void convert(Operand from, void* to, DType storage, int64_t elements, void* stream);

}  // namespace assay::cuda
