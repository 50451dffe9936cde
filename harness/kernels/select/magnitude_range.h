/// A part of all magnitudes, counted in bins.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/dtype.h"

namespace assay {

/// A range of magnitude_bits(), in bins of 2^shift bit patterns.
struct MagnitudeRange {
  uint32_t low = 0, span = uint32_t{1} << 31;
  int shift = 16;

  ASSAY_ELEMENT bool holds(uint32_t bits) const { return bits - low < span; }
  ASSAY_ELEMENT uint32_t bin(uint32_t bits) const { return (bits - low) >> shift; }
  uint32_t bins() const { return ((span - 1) >> shift) + 1; }
};

}  // namespace assay
