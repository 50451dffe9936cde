#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// Subspace Boosting: the more task vectors a merge adds up, the fewer directions dominate it. Its
/// small singular values are raised to the one at which the leading ones make up a share of their
/// sum. No code of the authors was found: the default share is that of independent implementations
/// (FusionBench, forks of mergekit), which agree. Directions whose singular value is 0 stay out,
/// since nothing determines them; in published code they are whatever an SVD returns.
struct SubspaceBoosting {
  static constexpr MethodInfo info{
      .name = "subspace_boosting",
      .paper = "arXiv:2506.16506 §4",
      .summary = "another method's merge with its small singular values raised",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "beta": 1})",
      .flops = "2 N d + 6 m n^2 + 9 n^3 with Task Arithmetic"};
  MethodComponent of{"task_arithmetic"};
  double beta = 0.01;
  MatrixRule matrices{kEmbeddings};

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
  std::optional<std::string> conflict() const { return inner_conflict(*of); }
  void prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }

  at::Tensor merge(const TensorJob& job) const {
    at::Tensor merged = merge_inner(*of, job, job.base, job.experts);
    if (!matrices.applies(job) || beta == 1) return merged;
    const OneThread one;
    const at::Tensor base = job.base.to(at::kDouble).flatten(1);
    Svd factors = factorize(merged.to(at::kDouble).flatten(1) - base);
    if (factors.count() == 0) return merged;
    const at::Tensor sums = factors.s.cumsum(0);
    const int64_t below = at::lt(sums, sums[-1] * beta).sum().item<int64_t>();
    factors.s = factors.s.clamp_min(factors.s[std::min(below, factors.count() - 1)].item());
    return add_matrix(job, factors.product(), 1);
  }
};

ASSAY_METHOD(SubspaceBoosting)

}  // namespace
}  // namespace assay
