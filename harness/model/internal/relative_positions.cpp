#include "harness/model/internal/relative_positions.h"

#include <ATen/ATen.h>

#include <cmath>

namespace assay {

at::Tensor distance_buckets(const at::Tensor& distance, bool bidirectional, int64_t buckets,
                            int64_t max_distance) {
  at::Tensor first = at::zeros_like(distance), magnitude = (-distance).clamp_min(0);
  if (bidirectional) {
    buckets /= 2;
    first = (distance > 0).to(at::kLong) * buckets;
    magnitude = distance.abs();
  }
  const int64_t exact_buckets = buckets / 2;
  // The float32 operations of the models' training, as their rounding determines the buckets.
  const at::Tensor log_buckets =
      (at::log(magnitude.to(at::kFloat) / static_cast<double>(exact_buckets)) /
       std::log(static_cast<double>(max_distance) / static_cast<double>(exact_buckets)) *
       static_cast<double>(buckets - exact_buckets))
          .clamp_min(0)
          .to(at::kLong) +
      exact_buckets;
  return first +
         at::where(magnitude < exact_buckets, magnitude, log_buckets.clamp_max(buckets - 1));
}

}  // namespace assay
