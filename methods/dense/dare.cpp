#include "methods/dense/task_vectors.h"

namespace assay {
namespace {

/// DARE with task arithmetic: drop and rescale the task vectors, then add their scaled sum to the
/// base.
struct Dare {
  static constexpr MethodInfo info{.name = "dare",
                                   .version = 4,
                                   .paper = "arXiv:2311.03099 §3",
                                   .summary = "random drop and rescale, then task arithmetic",
                                   .needs = {.base = true},
                                   .randomized = true,
                                   .identity = R"({"drop": 0, "scale": 0.5})",
                                   .flops = "(4 N + 1) d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage", "rescale": "l1_match", "scale": 1.0})",
       "mergekit's dare_linear: rescaled by the L1 norm of each tensor, not by 1 / (1 - drop)"}};
  RandomDrop random;
  double scale = 0.3;
  std::vector<double> weights;
  bool normalize = false;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    random.parameters(p);
    p(scale, {.name = "scale",
              .range = {-3, 3},
              .sweep = {0.1, 0.3, 0.5, 1.0},
              .help = "multiplier of the summed task vectors"});
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    p(normalize, {.name = "normalize", .help = kNormalizeHelp});
    compute_parameter(compute, p);
  }

  void prepare(const ModelJob& job) const {
    check_weights(weights, job);
    random.check(job);
  }
  std::vector<DeltaTerm> measure(const TensorParts& tensor) const {
    std::vector<DeltaTerm> terms = weighted_terms(weights, tensor.num_experts());
    random.apply(tensor, compute, terms);
    return terms;
  }
  at::Tensor merge(const TensorJob& part, const std::vector<DeltaTerm>& terms) const {
    return add_terms(part, terms, scale, normalize, compute);
  }
};

ASSAY_METHOD(Dare)

}  // namespace
}  // namespace assay
