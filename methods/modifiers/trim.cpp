#include "harness/method/modifier.h"
#include "methods/dense/trim_elect.h"
#include "methods/modifiers/changed_experts.h"

namespace assay {
namespace {

/// The first step of TIES, before any method on task vectors: the entries of smallest magnitude
/// are set to 0.
struct Trim {
  static constexpr MethodInfo info{
      .name = "trim",
      .paper = "arXiv:2306.01708 §3",
      .summary = "trims task vectors by magnitude, for another method to merge",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "density": 1})",
      .flops = "(7 N + 1) d with Task Arithmetic"};
  TrimElect steps;

  // A vote that is not counted needs no majority.
  Trim() { steps.tie = TrimElect::Tie::kZero; }

  void parameters(auto&& p) {
    p(steps.density, {.name = "density",
                      .range = {0, 1},
                      .sweep = {0.1, 0.2, 0.3},
                      .help = "share of each task vector that is kept"});
    steps.trim_parameters(p);
  }
  int64_t working_bytes(const TensorInfo& tensor) const { return steps.working_bytes(tensor); }
  void prepare(const ModelJob& job) { steps.prepare(job); }
  TrimElect::Trimmed measure(const TensorParts& tensor) const { return steps.measure(tensor); }
  std::vector<at::Tensor> experts(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    return changed_experts(part, trimmed.terms);
  }
};

ASSAY_MODIFIER(Trim)

}  // namespace
}  // namespace assay
