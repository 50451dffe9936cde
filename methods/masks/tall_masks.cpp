#include "methods/masks/tall.h"

namespace assay {
namespace {

/// TALL masks: one multi-task vector, and for each task a mask of the entries that matter to it.
struct TallMasksPerTask {
  static constexpr MethodInfo info{.name = "tall_masks",
                                   .paper = "arXiv:2405.07813 §4.1",
                                   .summary = "a multi-task vector, and for each task a mask of it",
                                   .needs = {.base = true, .output = Output::kModelPerTask},
                                   .identity = "",  // the multi-task vector of copies is their sum
                                   .flops = "(2 N + 2) d"};
  static constexpr Preset presets[] = {
      {"ties", R"({"task_vector": "ties"})", "masks of TIES' task vector"},
      {"fusionbench", R"({"lambda": 0.6})", "FusionBench's lambda"}};
  TallMasks masks;
  double scale = 0.3;

  void parameters(auto&& p) {
    masks.parameters(p);
    p(scale, {.name = "scale",
              .range = {0, 5},
              .help = "multiplier of the multi-task vector in the model for tasks without a mask"});
  }

  void prepare(const ModelJob& job) { masks.prepare(job); }
  TrimElect::Trimmed measure(const TensorParts& tensor) const { return masks.measure(tensor); }
  at::Tensor merge(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    return add_to_base(part, masks.vector(part, trimmed), scale);
  }
  at::Tensor merge_for(const TensorJob& part, const TrimElect::Trimmed& trimmed,
                       size_t expert) const {
    const at::Tensor vector = masks.vector(part, trimmed);
    return add_to_base(part, at::where(masks.mask(part, vector, expert), vector, 0.0F), 1.0);
  }
  /// A mask of one bit per element.
  static int64_t task_bytes(const std::vector<TensorInfo>& tensors) {
    int64_t bytes = 0;
    for (const TensorInfo& tensor : tensors) bytes += (tensor.numel() + 7) / 8;
    return bytes;
  }
};

ASSAY_METHOD(TallMasksPerTask)

}  // namespace
}  // namespace assay
