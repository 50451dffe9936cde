/// Rules of mergekit's arithmetic that its results depend on to the last bit.
#pragma once

#include "harness/kernels/dtype/dtype.h"

namespace assay::mergekit {

/// A sum of weights next to 0 does not divide. Of magnitudes below this one; of those up to this
/// one where entries that agree are averaged (DeltaRule::min_divisor).
inline constexpr float kMinDivisor = 1e-8F;

/// A tensor whose L1 norm is below this is not rescaled.
inline constexpr float kMinNorm = 1e-7F;

/// The probability of a drop as its Bernoulli draws have it: the share that is kept is a number in
/// the tensors' dtype.
inline float rounded_drop(float drop, DType dtype) { return 1 - round_to(1 - drop, dtype); }

}  // namespace assay::mergekit
