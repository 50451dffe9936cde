#include "methods/dense/sphere.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// mergekit's multislerp without a base. Its step on the tangent space is zero by construction, so
/// what remains is the weighted chordal mean direction with the weighted mean norm.
struct MultiSlerp {
  static constexpr MethodInfo info{
      .name = "multi_slerp",
      .paper = "https://github.com/arcee-ai/mergekit (multislerp)",
      .summary = "weighted mean direction of all experts with their mean norm, tensor by tensor",
      .needs = {.min_experts = 2},
      .flops = "(N^2 + 3 N - 1) d"};
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
  }

  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  /// The coefficients of the experts.
  std::vector<double> measure(const TensorParts& tensor) const {
    std::vector<double> shares = normalized_weights(weights, tensor.num_experts());
    const DotProducts products = dot_products_of_experts(tensor);
    std::vector<double> direction = shares;
    double mean_norm = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      const double norm = std::sqrt(products(static_cast<int>(i), static_cast<int>(i)));
      direction[i] /= norm + 1e-8;
      mean_norm += shares[i] * norm;
    }
    const double length = span_norm(products, direction);
    // Experts that are all zero, or two that point in opposite directions, have no mean direction.
    if (mean_norm == 0 || (length < 1e-8 && shares.size() == 2)) return shares;
    if (length < 1e-8)
      data_error("tensor '{}': the experts' directions cancel, so they have no spherical mean",
                 tensor.name());
    for (double& coefficient : direction) coefficient *= mean_norm / length;
    return direction;
  }
  at::Tensor merge(const TensorJob& part, const std::vector<double>& coefficients) const {
    return sum_of_experts(part, coefficients);
  }
};

ASSAY_METHOD(MultiSlerp)

}  // namespace
}  // namespace assay
