/// Loops over runs, as in dtype/runs.h, of sums.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/dtype.h"

namespace assay {

/// weighted_sum_element() of `count` rows of values.
void weighted_sum_run(const float* const* rows, int count, const float* weights, bool equal,
                      float divisor, DType rounding, int64_t size, float* out);

/// Partial sums in a fixed order: element j of a run is added to lane j % kLanes.
inline constexpr int kLanes = 16;
/// Adds a run's share in an inner product: see product_element().
void add_products(const float* a, const float* b, int64_t size, double* lanes);
/// Adds the magnitudes.
void add_magnitudes(const float* values, int64_t size, double* lanes);
inline double lane_sum(const double* lanes) {
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

}  // namespace assay
