/// A weight per expert, as many dense methods take.
#pragma once

#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/method/method.h"

namespace assay {

inline constexpr std::string_view kWeightsHelp =
    "a weight per expert, in the order of the merge; empty: all equal";

/// The arithmetic of a method: in float32, rounded once at the end, or in the dtype of the tensors,
/// rounded after every step. The latter is for presets that give other programs' bits.
enum class Compute { kFloat32, kStorage };

/// Declares the parameter.
inline void compute_parameter(Compute& compute, auto&& p) {
  p(compute, {.name = "compute",
              .choices = {"float32", "storage"},
              .help = "arithmetic in float32, rounded once at the end, or in the dtype of the "
                      "tensors, rounded after every step (mergekit)"});
}

/// The dtype that steps on tensors of this one are rounded to.
inline DType rounding(Compute compute, at::ScalarType dtype) {
  return compute == Compute::kStorage ? dtype_of(dtype) : DType::kFloat32;
}
inline DType rounding(Compute compute, const at::Tensor& tensor) {
  return rounding(compute, tensor.scalar_type());
}

/// UserError unless there is one entry per expert or none at all.
inline void check_list(const char* parameter, const std::vector<double>& values,
                       const ModelJob& job) {
  if (!values.empty() && values.size() != job.num_experts())
    user_error("parameter '{}' has {} entries for {} experts", parameter, values.size(),
               job.num_experts());
}

inline void check_weights(const std::vector<double>& weights, const ModelJob& job) {
  check_list("weights", weights, job);
}

/// Why the weights cannot be scaled to a sum of 1, in words; absent when they can. A sum that is 0
/// but for rounding counts as 0. `expected`: what is allowed instead.
inline std::optional<std::string> zero_sum(const std::vector<double>& weights,
                                           std::string_view expected) {
  double sum = 0, magnitude = 0;
  for (const double weight : weights) {
    sum += weight;
    magnitude += std::abs(weight);
  }
  const double rounding =
      std::numeric_limits<double>::epsilon() * static_cast<double>(weights.size()) * magnitude;
  if (weights.empty() || std::abs(sum) > rounding) return std::nullopt;
  return fmt::format("parameter 'weights' sums to 0 and cannot be normalized: expected {}",
                     expected);
}

/// One weight per expert: those given, or 1 each.
inline std::vector<double> expert_weights(const std::vector<double>& weights, size_t experts) {
  return weights.empty() ? std::vector<double>(experts, 1.0) : weights;
}

/// expert_weights() scaled to a sum of 1.
inline std::vector<double> normalized_weights(const std::vector<double>& weights, size_t experts) {
  std::vector<double> out = expert_weights(weights, experts);
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& weight : out) weight /= sum;
  return out;
}

}  // namespace assay
