#include <ATen/ATen.h>

#include <algorithm>

#include "methods/spectral/spectral_wrapper.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// Subspace Boosting: the more task vectors a merge adds up, the fewer directions dominate it. Its
/// small singular values are raised to the one at which the leading ones make up a share of their
/// sum. No code of the authors was found: the default share is that of independent implementations
/// (FusionBench, forks of mergekit), which agree. Directions whose singular value is 0 stay out,
/// since nothing determines them; in published code they are whatever an SVD returns.
struct SubspaceBoosting : SpectralWrapper {
  static constexpr MethodInfo info{
      .name = "subspace_boosting",
      .paper = "arXiv:2506.16506 §4",
      .summary = "another method's merge with its small singular values raised",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "beta": 1})",
      .flops = "2 N d + 6 m n^2 + 9 n^3 with Task Arithmetic"};
  double beta = 0.01;

  SubspaceBoosting() : SpectralWrapper(MatrixRule{kEmbeddings}) {}

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose result is boosted"});
    p(beta, {.name = "beta",
             .range = {0, 1},
             .sweep = {0.01, 0.05, 0.2, 0.5},
             .help = "share of the sum of the singular values: those after the first ones that "
                     "make it up are raised to the last of these. 0 raises all to the largest, 1 "
                     "none. The default is FusionBench's; no code of the authors was found"});
    matrices.parameters(p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (beta == 1) return inner(job);
    return inner_changed(job, [this](const at::Tensor& change) -> at::Tensor {
      Svd factors = factorize(change);
      if (factors.count() == 0) return {};
      const at::Tensor sums = factors.s.cumsum(0);
      const int64_t below = at::lt(sums, sums[-1] * beta).sum().item<int64_t>();
      factors.s = factors.s.clamp_min(factors.s[std::min(below, factors.count() - 1)].item());
      return factors.product();
    });
  }
};

ASSAY_METHOD(SubspaceBoosting)

}  // namespace
}  // namespace assay
