#include "harness/method/modifier.h"
#include "methods/dense/task_vectors.h"
#include "methods/modifiers/changed_experts.h"

namespace assay {
namespace {

/// DARE's drop and rescale, before any method on task vectors.
struct Drop {
  static constexpr MethodInfo info{
      .name = "drop",
      .paper = "arXiv:2311.03099 §3",
      .summary = "random drop and rescale of task vectors, for another method to merge",
      .needs = {.base = true},
      .randomized = true,
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "drop": 0})",
      .flops = "(7 N + 1) d with Task Arithmetic"};
  RandomDrop random;

  void parameters(auto&& p) { random.parameters(p); }
  void prepare(const ModelJob& job) const { random.check(job); }
  std::vector<DeltaTerm> measure(const TensorParts& tensor) const {
    std::vector<DeltaTerm> terms(tensor.num_experts());
    random.apply(tensor, Compute::kFloat32, terms);
    return terms;
  }
  std::vector<at::Tensor> experts(const TensorJob& part,
                                  const std::vector<DeltaTerm>& terms) const {
    return changed_experts(part, terms);
  }
};

ASSAY_MODIFIER(Drop)

}  // namespace
}  // namespace assay
