#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

/// TIES: trim each task vector, elect a sign per entry, average the entries that agree.
struct Ties {
  static constexpr MethodInfo info{
      .name = "ties",
      .paper = "arXiv:2306.01708 §3",
      .summary = "trim, elect a sign per entry, mean of those that agree",
      .needs = {.base = true},
      .identity = R"({"density": 1, "scale": 1})",
      .flops = "7 N d"};
  static constexpr Preset presets[] = {
      {"tensor", R"({"trim.scope": "tensor"})",
       "the paper's rule, but the share to keep is taken of each tensor"},
      {"sum", R"({"reduce": "sum_agree", "scale": 0.3})",
       "as in AdaMerging, FusionBench and TALL masks: the sum of the entries that agree"},
      {"mergekit",
       R"({"compute": "storage", "density": 1, "trim.scope": "tensor", "trim.rule": "exact_count",
           "trim.ties": "introsort", "elect.tie": "plus_one", "reduce": "weighted_mean_agree"})",
       "mergekit's ties: an exact count per tensor, ties in the "
       "order of its sort, weights applied before the election"}};
  TrimElect steps;
  double scale = 1.0;

  void parameters(auto&& p) {
    p(steps.density, {.name = "density",
                      .range = {0, 1},
                      .sweep = {0.1, 0.2, 0.3},
                      .help = "share of each task vector that is kept"});
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

ASSAY_METHOD(Ties)

}  // namespace
}  // namespace assay
