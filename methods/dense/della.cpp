#include "methods/dense/magnitude_drop.h"

namespace assay {
namespace {

/// DELLA: a random drop that spares large entries, then TIES' election and reduction.
struct Della {
  static constexpr MethodInfo info{
      .name = "della",
      .paper = "arXiv:2406.11617 §3",
      .summary = "random drop that spares large entries, then an election of signs",
      .needs = {.base = true},
      .randomized = true,
      .identity = R"({"drop": 0, "scale": 1})",
      .flops = "(11 N + 2) d"};
  static constexpr Preset presets[] = {
      {"mergekit",
       R"({"compute": "storage", "rescale": "l1_match", "window": 0.3, "scale": 1,
           "reduce": "weighted_mean_agree"})",
       "mergekit's della: rescaled by the L1 norm of each tensor; its own draws are others, and "
       "it fails on tensors of one column"}};
  MagnitudeDropMerge steps{.reduction = {.reduce = Reduce::kMeanAgree}};
  double scale = 1.1;

  void parameters(auto&& p) {
    steps.random.parameters(p);
    p(steps.reduction.reduce,
      {.name = "reduce",
       .choices = {"sum_all", "mean_agree", "sum_agree", "max_agree", "weighted_mean_agree"},
       .help = "what becomes of the nonzero entries that have the sign of their sum; sum_all has "
               "no election"});
    steps.reduction.election_parameters(p);
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.8, 1.1, 1.7},
              .help = "multiplier of the merged task vector"});
  }

  std::optional<std::string> conflict() const { return steps.conflict(); }
  void prepare(const ModelJob& job) const { steps.prepare(job); }
  at::Tensor merge(const TensorJob& job) const { return steps.merge(job, scale); }
};

ASSAY_METHOD(Della)

}  // namespace
}  // namespace assay
