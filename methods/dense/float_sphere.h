/// The angle between two experts in float32, added up in the order in which LibTorch does it on
/// CPUs: what mergekit's slerp computes, whose float32 results depend on it to the last bits.
#pragma once

#include "harness/method/method.h"

namespace assay {

/// The cosine between the flattened tensors of both experts, in [-1, 1]; tensors of a norm of at
/// most 1e-8 are taken as they are. The norms are sums over eight lanes, by parts of kPartElements.
float float_cosine(const TensorParts& tensor);

}  // namespace assay
