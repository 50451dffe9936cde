#include "harness/kernels/sums/runs.h"

#include <cmath>

#include "harness/kernels/internal/isa.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"

namespace assay {
namespace {

/// Adds `value(j)` of the elements of a run to the lanes.
template <typename Value>
ASSAY_ELEMENT void add_to_lanes(int64_t size, double* __restrict lanes, const Value& value) {
  double sums[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) sums[lane] = lanes[lane];
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += value(j + lane);
  for (; j < size; ++j) sums[j % kLanes] += value(j);
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = sums[lane];
}

}  // namespace

ASSAY_VECTORISED
void weighted_sum_run(const float* const* rows, int count, const float* weights, bool equal,
                      float divisor, DType rounding, int64_t size, float* __restrict out) {
  with_storage(rounding, [&](auto tag) ASSAY_INLINED {
    constexpr DType kRounding = decltype(tag)::kValue;
    for (int i = 0; i < count; ++i) {
      const float* __restrict row = rows[i];
      const float weight = weights[equal ? 0 : i];
      if (i == 0) {
        for (int64_t j = 0; j < size; ++j)
          out[j] = weighted_value(row[j], weight, equal, kRounding);
      } else {
        for (int64_t j = 0; j < size; ++j)
          out[j] += weighted_value(row[j], weight, equal, kRounding);
      }
    }
    if (!equal && divisor == 1.0f && kRounding == DType::kFloat32) return;
    for (int64_t j = 0; j < size; ++j)
      out[j] = weighted_result(out[j], weights[0], equal, divisor, kRounding);
  });
}

ASSAY_VECTORISED
void add_products(const float* __restrict a, const float* __restrict b, int64_t size,
                  double* __restrict lanes) {
  add_to_lanes(size, lanes, [&](int64_t j) ASSAY_INLINED { return product_element(a[j], b[j]); });
}

ASSAY_VECTORISED
void add_magnitudes(const float* __restrict values, int64_t size, double* __restrict lanes) {
  add_to_lanes(size, lanes,
               [&](int64_t j) ASSAY_INLINED { return std::fabs(static_cast<double>(values[j])); });
}

}  // namespace assay
