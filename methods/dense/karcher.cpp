#include <algorithm>

#include "methods/dense/sphere.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// The Karcher (intrinsic) mean of the experts' directions on the sphere, with their mean norm. The
/// iterates stay in the span of the experts, so all steps run on coefficients in float64.
struct Karcher {
  static constexpr MethodInfo info{
      .name = "karcher",
      .paper = "https://github.com/arcee-ai/mergekit (karcher)",
      .summary = "Karcher mean of the experts on the sphere, tensor by tensor",
      .needs = {.min_experts = 2},
      .flops = "(N^2 + 3 N - 1) d"};
  std::vector<double> weights;
  int64_t max_iterations = 10;
  double tolerance = 1e-5;

  void parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
    p(max_iterations,
      {.name = "max_iterations", .range = {1, 1000}, .help = "most iterations per tensor"});
    p(tolerance, {.name = "tolerance",
                  .range = {1e-9, 1e-1},
                  .help = "length of the mean tangent vector below which the iteration ends"});
  }

  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  /// The coefficients of the experts.
  std::vector<double> measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& part, const std::vector<double>& coefficients) const {
    return sum_of_experts(part, coefficients);
  }
};

std::vector<double> Karcher::measure(const TensorParts& tensor) const {
  const size_t n = tensor.num_experts();
  std::vector<double> shares = normalized_weights(weights, n);
  const DotProducts products = dot_products_of_experts(tensor);
  std::vector<double> norm(n), part(n);
  double mean_norm = 0, active = 0;
  for (size_t i = 0; i < n; ++i) {
    norm[i] = std::sqrt(products(static_cast<int>(i), static_cast<int>(i)));
    mean_norm += shares[i] * norm[i];
    // A tensor that is all but zero has no direction; it still counts in the mean norm.
    part[i] = norm[i] > tolerance ? shares[i] : 0;
    active += part[i];
  }
  if (active == 0) return shares;

  // The mean direction is sum_i direction[i] x_i, of length 1.
  const auto normalize = [&](std::vector<double>& direction) {
    const double length = span_norm(products, direction);
    for (double& coefficient : direction) coefficient /= length;
  };
  std::vector<double> direction(n);
  for (size_t i = 0; i < n; ++i) direction[i] = part[i] > 0 ? part[i] / active / norm[i] : 0;
  if (span_norm(products, direction) < tolerance) {
    const auto first = std::find_if(part.begin(), part.end(), [](double a) { return a > 0; });
    std::fill(direction.begin(), direction.end(), 0.0);
    direction[static_cast<size_t>(first - part.begin())] = 1;
  }
  normalize(direction);
  int64_t iterations = 0;
  while (iterations++ < max_iterations) {
    std::vector<double> tangent(n);
    for (size_t i = 0; i < n; ++i) {
      if (part[i] == 0) continue;
      const double cosine =
          std::clamp(span_dot(products, direction, static_cast<int>(i)) / norm[i], -1.0, 1.0);
      const double angle = std::acos(cosine);
      const double step = part[i] / active * angle / std::sin(angle);
      if (angle < tolerance || !std::isfinite(step)) continue;
      for (size_t k = 0; k < n; ++k) tangent[k] -= step * cosine * direction[k];
      tangent[i] += step / norm[i];
    }
    const double length = span_norm(products, tangent);
    if (length < tolerance) break;
    for (size_t k = 0; k < n; ++k)
      direction[k] = std::cos(length) * direction[k] + std::sin(length) / length * tangent[k];
    normalize(direction);
  }
  tensor.report("iterations", static_cast<double>(std::min(iterations, max_iterations)));
  for (double& coefficient : direction) coefficient *= mean_norm;
  return direction;
}

ASSAY_METHOD(Karcher)

}  // namespace
}  // namespace assay
