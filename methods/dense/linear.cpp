#include "harness/kernels/weighted_sum.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// A weighted mean, or with `normalize` off a weighted sum, of the experts.
struct Linear {
  static constexpr MethodInfo info{.name = "linear",
                                   .paper = "arXiv:2203.05482 §2",
                                   .summary = "weighted mean of the experts' weights",
                                   .elementwise = true};
  std::vector<double> weights;
  bool normalize = true;

  void parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    p(normalize, {.name = "normalize", .help = "divide by the sum of the weights"});
  }

  void prepare(const ModelJob& job) const {
    normalize ? check_normalizable(weights, job) : check_weights(weights, job);
  }
  at::Tensor merge(const TensorJob& job) const {
    const size_t n = job.experts.size();
    const std::vector<double> factors =
        normalize ? normalized_weights(weights, n) : expert_weights(weights, n);
    return weights.empty() ? scaled_sum(job.experts, factors.front())
                           : weighted_sum(job.experts, factors);
  }
};

ASSAY_METHOD(Linear)

}  // namespace
}  // namespace assay
