#include <ATen/ATen.h>

#include <algorithm>

#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// Model Breadcrumbs: of each task vector the outliers and the small entries are removed, and the
/// rest is added to the base, or merged by TIES' election.
struct Breadcrumbs {
  enum class Scope { kRow, kTensor };
  enum class Short { kKeepFewer, kRemoveFewer };

  static constexpr MethodInfo info{
      .name = "breadcrumbs",
      .paper = "arXiv:2312.06795 §3",
      .summary = "task vectors without their outliers and small entries, added to the base",
      .needs = {.base = true},
      .identity = R"({"density": 1, "gamma": 0, "scale": 0.5})",
      .flops = "(9 N + 2) d"};
  static constexpr Preset presets[] = {
      {"ties", R"({"reduce": "mean_agree", "scale": 1})",
       "the entries that are left are merged as TIES does"},
      {"mergekit",
       R"({"compute": "storage", "scope": "tensor", "density": 1, "gamma": 0.01, "scale": 1,
           "when_short": "remove_fewer", "min_kept": 0, "whole_at_one": true})",
       "mergekit's breadcrumbs: ranks over a whole tensor, ties in the order of its sort; small "
       "tensors may lose all entries"},
      {"mergekit_ties",
       R"({"compute": "storage", "scope": "tensor", "density": 1, "gamma": 0.01, "scale": 1,
           "when_short": "remove_fewer", "min_kept": 0, "whole_at_one": true,
           "reduce": "sum_agree"})",
       "mergekit's breadcrumbs_ties: the same with the sum of the entries that agree"}};
  double density = 0.15;
  double gamma = 0.006;
  std::vector<double> densities, gammas;
  Scope scope = Scope::kRow;
  Short when_short = Short::kKeepFewer;
  int64_t min_kept = 1;
  bool whole_at_one = false;
  bool rescale = false;
  DeltaReduction reduction;
  double scale = 0.2;

  void parameters(auto&& p) {
    p(density, {.name = "density",
                .range = {0, 1},
                .sweep = {0.05, 0.1, 0.2},
                .help = "share of each task vector that is kept"});
    p(gamma, {.name = "gamma",
              .range = {0, 1},
              .sweep = {0.001, 0.01},
              .help = "share of the largest entries that is removed"});
    p(densities, {.name = "densities",
                  .range = {0, 1},
                  .help = "a density per expert; empty: density for all of them"});
    p(gammas, {.name = "gammas",
               .range = {0, 1},
               .help = "a gamma per expert; empty: gamma for all of them"});
    p(scope,
      {.name = "scope",
       .choices = {"row", "tensor"},
       .help = "the shares are of each row, a bias being one (the authors' code), or of each "
               "tensor (mergekit). A convolution's row is all that an output sums up; the authors' "
               "code has the few entries along its last dimension, of which a share is none"});
    p(when_short, {.name = "when_short",
                   .choices = {"keep_fewer", "remove_fewer"},
                   .help = "where density and gamma exceed 1 together, fewer entries are kept, or "
                           "fewer outliers removed (mergekit)"});
    p(min_kept, {.name = "min_kept",
                 .range = {0, 1 << 20},
                 .help = "entries that are kept where the density leaves fewer; with 0, short "
                         "rows and small tensors may lose all (the authors' code, mergekit)"});
    p(whole_at_one, {.name = "whole_at_one", .help = "at density 1 outliers stay, too (mergekit)"});
    p(rescale,
      {.name = "rescale", .help = "multiply what is left so as to keep each tensor's L1 norm"});
    p(reduction.reduce,
      {.name = "reduce",
       .choices = {"sum_all", "mean_agree", "sum_agree", "max_agree", "weighted_mean_agree"},
       .help = "the sum of the task vectors, or what becomes of the nonzero entries that have "
               "the sign of their sum, as in TIES"});
    reduction.tie_parameter(p);
    reduction.sum_parameters(p);
    p(scale, {.name = "scale",
              .range = {-3, 5},
              .sweep = {0.2, 0.5},
              .help = "multiplier of the merged task vector"});
  }

  void prepare(const ModelJob& job) const {
    check_weights(reduction.weights, job);
    check_list("densities", densities, job);
    check_list("gammas", gammas, job);
  }
  at::Tensor merge(const TensorJob& job) const {
    std::vector<at::Tensor> deltas = whole_deltas(job, reduction.compute);
    for (size_t i = 0; i < deltas.size(); ++i) {
      const double share = densities.empty() ? density : densities[i];
      if ((whole_at_one && share >= 1) || deltas[i].numel() == 0) continue;
      const at::Tensor kept = crumbs(deltas[i], share, gammas.empty() ? gamma : gammas[i]);
      const at::Tensor left = deltas[i] * kept.reshape(deltas[i].sizes());
      deltas[i] = rescale ? with_l1_norm(left, deltas[i]) : left;
    }
    return reduction.merge(job, deltas, scale);
  }

 private:
  at::Tensor crumbs(const at::Tensor& delta, double share, double outliers) const;
};

/// Which entries are kept.
at::Tensor Breadcrumbs::crumbs(const at::Tensor& delta, double share, double outliers) const {
  const at::Tensor sizes = delta.abs().to(at::kFloat);
  const at::Tensor rows = scope == Scope::kRow ? as_rows(sizes) : sizes.reshape({1, -1});
  const int64_t count = rows.size(1);
  const auto share_of = [&](double of) {
    return static_cast<int64_t>(of * static_cast<double>(count));
  };
  int64_t removed = share_of(outliers);
  int64_t kept = std::min(count, std::max(share_of(share), min_kept));
  if (when_short == Short::kRemoveFewer) removed = std::min(removed, count - kept);
  // An outlier stays where nothing else is left to keep.
  removed = std::min(removed, count - std::min(min_kept, count));
  kept = std::min(kept, count - removed);
  if (reduction.compute == Compute::kFloat32)
    return largest_of_rows(rows, removed + kept).logical_xor(largest_of_rows(rows, removed));
  const at::Tensor order = std::get<1>(rows.sort(1));
  return at::zeros_like(rows, at::kBool)
      .scatter_(1, order.slice(1, count - removed - kept, count - removed), true);
}

ASSAY_METHOD(Breadcrumbs)

}  // namespace
}  // namespace assay
