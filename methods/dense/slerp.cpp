#include <cmath>

#include "methods/dense/sphere.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"
#include "methods/mergekit/float_sphere.h"
#include "methods/mergekit/stored_sum.h"

namespace assay {
namespace {

/// Spherical interpolation of two models, each tensor flattened to one vector. Nearly parallel
/// tensors are interpolated linearly; the share of those is reported.
struct Slerp {
  static constexpr MethodInfo info{
      .name = "slerp",
      .paper = "https://github.com/arcee-ai/mergekit (slerp)",
      .summary = "spherical interpolation between two experts, tensor by tensor",
      .needs = {.min_experts = 2, .max_experts = 2},
      .own_moments = true,
      .flops = "9 d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's slerp: norms and angle in float32, added up as LibTorch does"}};
  double t = 0.5;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(t, {.name = "t",
          .range = {0, 1},
          .sweep = {0.1, 0.3, 0.5, 0.7, 0.9},
          .help = "0 gives the first expert, 1 the second"});
    compute_parameter(compute, p);
  }

  /// The coefficients of both experts.
  std::vector<double> measure(const TensorParts& tensor) const {
    if (compute == Compute::kStorage) return mergekit::slerp_coefficients(tensor, t);
    const DotProducts products = dot_products_of_experts(tensor);
    const auto unit_norm = [&](int i) {
      const double norm = std::sqrt(products(i, i));
      return norm > 1e-8 ? norm : 1.0;
    };
    const double cosine = products(0, 1) / (unit_norm(0) * unit_norm(1));
    const bool parallel = std::abs(cosine) > 0.9995;
    tensor.report("lerp_frac", parallel ? 1 : 0);
    if (parallel) return {1 - t, t};
    const double angle = std::acos(cosine), sine = std::sin(angle);
    return {std::sin((1 - t) * angle) / sine, std::sin(t * angle) / sine};
  }
  at::Tensor merge(const TensorJob& part, const std::vector<double>& coefficients) const {
    return compute == Compute::kStorage ? mergekit::stored_sum(part, coefficients)
                                        : sum_of_experts(part, coefficients);
  }
};

ASSAY_METHOD(Slerp)

}  // namespace
}  // namespace assay
