/// The angle between two experts in float32, added up in the order in which LibTorch does it on
/// CPUs: what mergekit's slerp computes, whose float32 results depend on it to the last bits.
#pragma once

#include <vector>

#include "harness/method/method.h"

namespace assay::mergekit {

/// The coefficients of both experts at `t`, every step rounded to float32. Norms are sums over
/// eight lanes, by parts of kPartElements; tensors of a norm of at most 1e-8 are not normalised.
/// Reports lerp_frac.
std::vector<double> slerp_coefficients(const TensorParts& tensor, double t);

}  // namespace assay::mergekit
