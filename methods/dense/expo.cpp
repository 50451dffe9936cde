#include "methods/dense/task_vectors.h"

namespace assay {
namespace {

/// ExPO: the line from the base to the expert, beyond the expert. The base is the model before
/// alignment and the expert the one after it.
struct Expo {
  static constexpr MethodInfo info{
      .name = "expo",
      .paper = "arXiv:2404.16792 §2",
      .summary = "a point on the line from the base, beyond the experts' mean",
      .needs = {.base = true},
      .elementwise = true,
      .identity = R"({"factor": 0})",
      .flops = "(2 N + 1) d"};
  double factor = 0.1;

  void parameters(auto&& p) {
    p(factor, {.name = "factor",
               .range = {0, 10},
               .sweep = {0.1, 0.2, 0.3, 0.4, 0.5},
               .help = "how far beyond: 0 gives the mean of the experts, 1 doubles its distance "
                       "from the base; the paper has one expert"});
  }

  at::Tensor merge(const TensorJob& job) const {
    return add_terms(job, weighted_terms({}, job.experts.size()), 1 + factor, /*normalize=*/true,
                     Compute::kFloat32);
  }
};

ASSAY_METHOD(Expo)

}  // namespace
}  // namespace assay
