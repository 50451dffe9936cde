#include <ATen/core/Tensor.h>

#include "methods/dense/sums.h"
#include "methods/dense/weights.h"
#include "methods/mergekit/stored_sum.h"

namespace assay {
namespace {

/// A weighted mean, or with `normalize` off a weighted sum, of the experts.
struct Linear {
  static constexpr MethodInfo info{.name = "linear",
                                   .paper = "arXiv:2203.05482 §2",
                                   .summary = "weighted mean of the experts' weights",
                                   .elementwise = true,
                                   .own_moments = true,
                                   .flops = "N d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's linear: the weighted sum is divided by the sum of the weights at its end"}};
  std::vector<double> weights;
  bool normalize = true;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    p(normalize, {.name = "normalize", .help = "divide by the sum of the weights"});
    compute_parameter(compute, p);
  }

  std::optional<std::string> conflict() const {
    if (!normalize) return std::nullopt;
    return zero_sum(weights, "another sum, or 'normalize' false");
  }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  at::Tensor merge(const TensorJob& job) const {
    const size_t n = job.experts.size();
    if (compute == Compute::kStorage) return sum_then_divide(job);
    const std::vector<double> factors =
        normalize ? normalized_weights(weights, n) : expert_weights(weights, n);
    return weights.empty() ? sum_of_experts(job, factors.front()) : sum_of_experts(job, factors);
  }

 private:
  at::Tensor sum_then_divide(const TensorJob& job) const {
    const std::vector<double> factors = expert_weights(weights, job.experts.size());
    float divisor = 1;
    if (normalize) {
      divisor = 0;
      for (const double factor : factors) divisor += static_cast<float>(factor);
    }
    return mergekit::divided_sum(job, factors, divisor);
  }
};

ASSAY_METHOD(Linear)

}  // namespace
}  // namespace assay
