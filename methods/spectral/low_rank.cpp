#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// What another method changed, cut to what one LoRA adapter can hold: PEFT's ways of merging
/// adapters whose names end in svd. They work on the products of adapters' factors, as task vectors
/// of adapted models are. PEFT's other ways mix the factors themselves, which such models do not
/// show: of the same products other factors give other results.
struct LowRank {
  static constexpr MethodInfo info{
      .name = "low_rank",
      .paper = "https://github.com/huggingface/peft (add_weighted_adapter)",
      .summary = "another method's merge with each matrix's change cut to a rank",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "rank": 4096})",
      .flops = "(2 N + 4 rank + 4) d + 2 m n^2 + 9 n^3 with Task Arithmetic"};
  static constexpr Preset presets[] = {
      {"peft_svd", R"({"of": {"method": "task_arithmetic", "scale": 1}})",
       "PEFT's svd: the sum of the adapters' products"},
      {"peft_ties_svd",
       R"({"of": {"method": "ties", "trim.scope": "tensor", "trim.rule": "exact_count",
           "elect.tie": "plus_one"}})",
       "PEFT's ties_svd with equal weights, since signs are elected without them; it asks for a "
       "density"},
      {"peft_magnitude_prune_svd",
       R"({"of": {"method": "trim", "trim.scope": "tensor", "trim.rule": "exact_count",
           "of": {"method": "task_arithmetic", "scale": 1}}})",
       "PEFT's magnitude_prune_svd: the sum of trimmed products; it asks for a density"},
      {"peft_dare_linear_svd", R"({"of": {"method": "dare", "scale": 1}})",
       "PEFT's dare_linear_svd: the sum of products with dropped entries; it asks for a density"}};
  MethodComponent of{"task_arithmetic"};
  int64_t rank = 16;
  MatrixRule matrices{{}, /*unfold=*/true};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose result is cut"});
    p(rank, {.name = "rank",
             .range = {1, 1000000},
             .sweep = {8, 16, 32, 64},
             .help = "of each matrix's change, or all where it has fewer; PEFT takes the largest "
                     "rank of the adapters, which adapted weights do not show"});
    matrices.parameters(p);
  }
  std::optional<std::string> conflict() const { return inner_conflict(*of); }
  void prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }

  at::Tensor merge(const TensorJob& job) const {
    at::Tensor merged = merge_inner(*of, job, job.base, job.experts);
    if (!matrices.applies(job)) return merged;
    const at::Tensor change =
        merged.to(at::kDouble).flatten(1) - job.base.to(at::kDouble).flatten(1);
    if (rank >= std::min(change.size(0), change.size(1))) return merged;
    const Svd factors = factorize(change, {.most = rank});
    const OneThread one;
    return add_matrix(job, factors.product(), 1);
  }
};

ASSAY_METHOD(LowRank)

}  // namespace
}  // namespace assay
