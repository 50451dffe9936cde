#include "methods/dense/task_vectors.h"

namespace assay {
namespace {

/// WiSE-FT: a point on the line from the base to the mean of the experts.
struct WiseFt {
  static constexpr MethodInfo info{.name = "wise_ft",
                                   .paper = "arXiv:2109.01903 §3",
                                   .summary = "a point between the base and the experts' mean",
                                   .needs = {.base = true},
                                   .elementwise = true,
                                   .own_moments = true,
                                   .identity = R"({"alpha": 1})",
                                   .flops = "(2 N + 1) d"};
  double alpha = 0.5;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
              .help = "0 gives the base, 1 the mean of the experts; the paper has one expert"});
  }

  at::Tensor merge(const TensorJob& job) const {
    return add_terms(job, weighted_terms({}, job.experts.size()), alpha, /*normalize=*/true,
                     Compute::kFloat32);
  }
};

ASSAY_METHOD(WiseFt)

}  // namespace
}  // namespace assay
