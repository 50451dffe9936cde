#include "harness/core/error.h"
#include "methods/masks/tall.h"

namespace assay {
namespace {

/// Consensus merging: a multi-task vector without the entries that too few experts' TALL masks
/// have.
struct Consensus {
  static constexpr MethodInfo info{
      .name = "consensus",
      .paper = "arXiv:2405.07813 §4.3",
      .summary = "the multi-task vector where the TALL masks of several experts agree",
      .needs = {.base = true, .min_experts = 2},
      .identity = R"({"scale": 0.5})",
      .flops = "(8 N + 2) d"};
  static constexpr Preset presets[] = {
      {"ties", R"({"task_vector": "ties"})", "Consensus TIES"},
      {"mergebench", R"({"lambda": 0.2})", "MergeBench's fixed lambda"}};
  TallMasks masks;
  int64_t min_tasks = 2;
  double scale = 0.3;

  void parameters(auto&& p) {
    masks.parameters(p);
    p(min_tasks, {.name = "min_tasks",
                  .range = {0, 1000},
                  .help = "an entry is kept where this many masks have it: 0 keeps all, the number "
                          "of experts only what all have"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.2, 0.3, 0.5, 1.0},
              .help = "multiplier of the masked multi-task vector"});
  }

  void prepare(const ModelJob& job) {
    if (min_tasks > static_cast<int64_t>(job.num_experts()))
      user_error(
          "parameter 'min_tasks' is {} for {} experts, so that nothing is kept: expected 0 to {}",
          min_tasks, job.num_experts(), job.num_experts());
    masks.prepare(job);
  }
  TrimElect::Trimmed measure(const TensorParts& tensor) const { return masks.measure(tensor); }
  at::Tensor merge(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    const at::Tensor vector = masks.vector(part, trimmed);
    at::Tensor votes = at::zeros_like(vector, at::kInt);
    for (size_t i = 0; i < part.experts.size(); ++i) votes += masks.mask(part, vector, i);
    return add_to_base(part, at::where(votes >= min_tasks, vector, 0.0F), scale);
  }
};

ASSAY_METHOD(Consensus)

}  // namespace
}  // namespace assay
