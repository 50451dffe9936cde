#include <ATen/ATen.h>

#include <cmath>

#include "harness/kernels/one_thread.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/delta_statistics.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// DRM (decompose, renormalise, merge): one singular value decomposition of all stacked task
/// vectors; each task's singular vectors get the length 1, small entries are dropped, and those
/// that agree in sign are averaged.
struct Drm {
  enum class Stack { kVertical, kHorizontal };
  enum class Rest { kElect, kMean, kBase };

  static constexpr MethodInfo info{
      .name = "drm",
      .version = 2,
      .paper = "arXiv:2505.23117 §4",
      .summary = "signs elected among renormalised parts of a joint decomposition",
      .needs = {.base = true},
      .identity = R"({"drop": 0, "cut": 0})",
      .flops = "(4 N + 2) m n^2 + 9 n^3"};
  static constexpr Preset presets[] = {
      {"horizontal", R"({"stack": "horizontal"})", "DRM-H: task vectors side by side"}};
  double drop = 0.8;
  double cut = 0.01;
  Stack stack = Stack::kVertical;
  double scale = 1;
  MatrixRule matrices{{"*embed*", "*wte*", "*wpe*", "*shared.weight", "*lm_head*"}};
  Rest others = Rest::kElect;

  void parameters(auto&& p) {
    p(drop, {.name = "drop",
             .range = {0, 1},
             .sweep = {0.6, 0.7, 0.8, 0.9},
             .help = "share of the entries of all tasks' singular vectors that is dropped, the "
                     "smallest; 0 drops none"});
    p(cut, {.name = "cut",
            .range = {0, 1},
            .help = "singular values below this share of the largest are left out"});
    p(stack, {.name = "stack",
              .choices = {"vertical", "horizontal"},
              .help = "whether task vectors stand one below the other and share directions of "
                      "inputs (DRM-V), or side by side and share those of outputs (DRM-H)"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.8, 1.0, 1.2},
              .help = "multiplier of the merged task vector"});
    matrices.parameters(p);
    p(others, {.name = "others",
               .choices = {"elect", "mean", "base"},
               .help = "tensors that are no matrices get the mean of the entries that agree with "
                       "the elected signs, or of all, or stay the base's"});
  }

  at::Tensor merge(const TensorJob& job) const {
    const OneThread one;
    if (matrices.applies(job)) return add_matrix(job, merged_matrix(delta_matrices(job)), scale);
    if (others != Rest::kElect || job.base.numel() == 0)
      return merge_other(job, others == Rest::kBase ? Others::kBase : Others::kMean, scale);
    std::vector<at::Tensor> deltas;
    for (const at::Tensor& expert : job.experts)
      deltas.push_back(expert.to(at::kDouble) - job.base.to(at::kDouble));
    return add_matrix(job, agreeing_mean(at::stack(deltas)), scale);
  }

 private:
  at::Tensor merged_matrix(std::vector<at::Tensor> deltas) const {
    if (stack == Stack::kHorizontal)
      for (at::Tensor& delta : deltas) delta = delta.t();
    Svd factors = factorize(at::cat(deltas));
    if (factors.count() == 0) return at::zeros_like(deltas[0]);
    const at::Tensor large = at::ge(factors.s, cut * factors.s[0].item<double>());
    const int64_t count = large.sum().item<int64_t>();
    const auto tasks = static_cast<int64_t>(deltas.size());
    // [task, row, direction]
    at::Tensor parts = factors.u.narrow(1, 0, count).reshape({tasks, deltas[0].size(0), count});
    const at::Tensor lengths = parts.norm(2, 1, /*keepdim=*/true);
    // A task that lacks a direction has zeros in it.
    parts = at::where(at::gt(lengths, 0), parts / lengths, 0.0);
    parts = trimmed(parts) * (lengths * factors.s.narrow(0, 0, count));
    const at::Tensor merged = agreeing_mean(parts).mm(factors.v.narrow(1, 0, count).t());
    return stack == Stack::kHorizontal ? merged.t() : merged;
  }

  /// Without the entries below the k-th smallest magnitude, where k is the number to drop.
  at::Tensor trimmed(const at::Tensor& values) const {
    const auto all = static_cast<double>(values.numel());
    const auto dropped = values.numel() - static_cast<int64_t>(std::nearbyint((1 - drop) * all));
    if (dropped <= 0) return values;
    const at::Tensor magnitudes = values.abs();
    const at::Tensor threshold = std::get<0>(at::kthvalue(magnitudes.flatten(), dropped));
    return at::where(at::ge(magnitudes, threshold), values, 0.0);
  }

  /// Over tasks, the mean of the nonzero entries whose sign is that of the sum. Where the sum is 0,
  /// it is the sign that most entries have. In float32, as in TIES.
  static at::Tensor agreeing_mean(const at::Tensor& tasks) {
    const std::vector<at::Tensor> values = tasks.to(at::kFloat).contiguous().unbind();
    const at::Tensor none = at::zeros_like(values.front());
    const std::vector<DeltaTerm> terms(values.size());
    const auto majority = static_cast<float>(elected_sign_sum(none, values, terms, Elect::kMass));
    const DeltaRule rule{.reduce = Reduce::kMeanAgree, .tie_sign = vote_sign(majority)};
    return delta_merge(none, values, terms, rule).to(at::kDouble);
  }
};

ASSAY_METHOD(Drm)

}  // namespace
}  // namespace assay
