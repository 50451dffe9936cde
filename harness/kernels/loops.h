/// Loops over runs of elements on the host, short enough for a core's first cache, in the plain
/// form that compilers vectorise. Each gives what the per-element functions give, to the bit.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/dtype.h"

namespace assay {

inline constexpr int64_t kRun = 512;  ///< the most elements of a run; divides kBlock

/// Elements [begin, begin + size) of the operand in float32.
void load_run(const Operand& from, int64_t begin, int64_t size, float* out);
/// Asks for elements [begin, begin + size) to be brought to the cache: with several tensors read
/// side by side, hardware alone is late.
void prefetch_run(const Operand& from, int64_t begin, int64_t size);
/// Writes them as elements [begin, begin + size) of an array of the dtype, rounded once.
void store_run(const float* values, int64_t begin, int64_t size, void* to, DType storage);
/// Copies to memory that is not read again soon: where it can, without bringing it to the caches.
void copy_past_caches(const void* from, int64_t bytes, void* to);
/// After the last such write of a thread, before another thread is told of it.
void end_past_caches();
void round_run(float* values, int64_t size, DType storage);

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

/// How many of elements [begin, begin + size) are NaN or infinite.
int64_t nonfinite_run(const Operand& from, int64_t begin, int64_t size);

}  // namespace assay
