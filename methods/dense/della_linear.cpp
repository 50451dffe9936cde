#include "methods/dense/magnitude_drop.h"

namespace assay {
namespace {

/// DELLA's drop with task arithmetic: what is left of the task vectors is added up.
struct DellaLinear {
  static constexpr MethodInfo info{
      .name = "della_linear",
      .paper = "arXiv:2406.11617 §3",
      .summary = "random drop that spares large entries, then task arithmetic",
      .needs = {.base = true},
      .randomized = true,
      .identity = R"({"drop": 0, "scale": 0.5})",
      .flops = "(10 N + 2) d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage", "rescale": "l1_match", "window": 0.3, "scale": 1})",
       "mergekit's della_linear: rescaled by the L1 norm of each tensor; its own draws are others, "
       "and it fails on tensors of one column"}};
  MagnitudeDropMerge steps;
  double scale = 0.3;

  void parameters(auto&& p) {
    steps.random.parameters(p);
    steps.reduction.sum_parameters(p);
    p(scale, {.name = "scale",
              .range = {-3, 3},
              .sweep = {0.3, 0.5, 1.0},
              .help = "multiplier of the summed task vectors"});
  }

  std::optional<std::string> conflict() const { return steps.conflict(); }
  void prepare(const ModelJob& job) const { steps.prepare(job); }
  at::Tensor merge(const TensorJob& job) const { return steps.merge(job, scale); }
};

ASSAY_METHOD(DellaLinear)

}  // namespace
}  // namespace assay
