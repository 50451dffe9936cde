/// Rules of mergekit's arithmetic, which presets named `mergekit` reproduce bit by bit.
#pragma once

namespace assay::mergekit {

/// A sum of weights of this magnitude or a smaller one does not divide.
inline constexpr float kMinDivisor = 1e-8F;

}  // namespace assay::mergekit
