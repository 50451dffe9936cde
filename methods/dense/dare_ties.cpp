#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

/// DARE with TIES: drop and rescale the task vectors, then trim, elect and merge them.
struct DareTies {
  static constexpr MethodInfo info{.name = "dare_ties",
                                   .version = 4,
                                   .paper = "arXiv:2311.03099 §3",
                                   .summary = "random drop and rescale, then TIES",
                                   .needs = {.base = true},
                                   .randomized = true,
                                   .identity = R"({"drop": 0, "density": 1, "scale": 1})",
                                   .flops = "15 N d"};
  static constexpr Preset presets[] = {
      {"mergekit",
       R"({"compute": "storage", "rescale": "l1_match", "density": 1, "elect.tie": "plus_one",
           "reduce": "sum_agree"})",
       "mergekit's dare_ties: rescaled by the L1 norm of each tensor, no trimming by magnitude"}};
  TrimElect steps{RandomDrop{}};
  double scale = 1.0;

  void parameters(auto&& p) {
    steps.before.parameters(p);
    p(steps.density, {.name = "density",
                      .range = {0, 1},
                      .help = "share of each task vector that TIES keeps after the drop"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.8, 1.0, 1.7, 3.0},
              .help = "multiplier of the merged task vector"});
    steps.parameters(p);
  }

  int64_t working_bytes(const TensorInfo& tensor) const { return steps.working_bytes(tensor); }
  void prepare(const ModelJob& job) { steps.prepare(job); }
  TrimElect::Trimmed measure(const TensorParts& tensor) const { return steps.measure(tensor); }
  at::Tensor merge(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    return steps.merge(part, trimmed, scale);
  }
};

ASSAY_METHOD(DareTies)

}  // namespace
}  // namespace assay
