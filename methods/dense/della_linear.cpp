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
      .identity = R"({"drop": 0, "scale": 0.5})"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage", "rescale": "l1_match", "window": 0.3, "scale": 1})",
       "mergekit's della_linear: rescaled by the L1 norm of each tensor; its own draws are others, "
       "and it fails on tensors of one column"}};
  MagnitudeDrop random;
  DeltaReduction reduction;
  double scale = 0.3;

  void parameters(auto&& p) {
    random.parameters(p);
    reduction.sum_parameters(p);
    p(scale, {.name = "scale",
              .range = {-3, 3},
              .sweep = {0.3, 0.5, 1.0},
              .help = "multiplier of the summed task vectors"});
  }

  std::optional<std::string> conflict() const { return random.conflict(); }
  void prepare(const ModelJob& job) const {
    check_weights(reduction.weights, job);
    random.check(job);
  }
  at::Tensor merge(const TensorJob& job) const {
    std::vector<at::Tensor> deltas = whole_deltas(job, reduction.compute);
    random.apply(job, deltas);
    return reduction.merge(job, deltas, scale);
  }
};

ASSAY_METHOD(DellaLinear)

}  // namespace
}  // namespace assay
