#include "methods/dense/task_vectors.h"

namespace assay {
namespace {

/// Task arithmetic: the base plus the scaled sum of the task vectors.
struct TaskArithmetic {
  static constexpr MethodInfo info{.name = "task_arithmetic",
                                   .paper = "arXiv:2212.04089 §3",
                                   .summary = "base plus the scaled sum of the task vectors",
                                   .needs = {.base = true},
                                   .elementwise = true,
                                   .identity = R"({"scale": 0.5})",
                                   .flops = "(2 N + 1) d"};
  static constexpr Preset presets[] = {{"mergekit", R"({"compute": "storage", "scale": 1.0})",
                                        "mergekit's task_arithmetic: computed in storage dtype"}};
  double scale = 0.3;  // the paper's optimum for many tasks lies at 0.3 to 0.5
  std::vector<double> weights;
  bool normalize = false;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(scale,
      {.name = "scale",
       .range = {-3, 3},
       .sweep = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
       .help = "multiplier of the summed task vectors; negative values make the model forget"});
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    p(normalize, {.name = "normalize", .help = kNormalizeHelp});
    compute_parameter(compute, p);
  }

  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  at::Tensor merge(const TensorJob& job) const {
    return add_terms(job, weighted_terms(weights, job.experts.size()), scale, normalize, compute);
  }
};

ASSAY_METHOD(TaskArithmetic)

}  // namespace
}  // namespace assay
