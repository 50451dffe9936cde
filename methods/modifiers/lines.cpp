#include <algorithm>

#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/method/modifier.h"

namespace assay {
namespace {

/// LiNeS: what a merge changed is scaled by depth, linearly from the first layer to the last, since
/// shallow layers hold what tasks share.
struct Lines {
  static constexpr MethodInfo info{
      .name = "lines",
      .paper = "arXiv:2410.17146 §4",
      .summary = "scales what another method changed, linearly from shallow to deep layers",
      .needs = {.base = true, .architecture = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "beta": 0})",
      .flops = "3 d, and what 'of' takes"};
  static constexpr Preset presets[] = {
      {"sum", R"({"of": {"method": "task_arithmetic", "scale": 1}, "mean": true})",
       "as the paper does with a sum of task vectors: alpha is 1 / experts"}};
  double alpha = 1;
  double beta = 1;
  bool mean = false;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha", .range = {0, 10}, .help = "the factor of the first layer"});
    p(beta, {.name = "beta",
             .range = {-10, 10},
             .sweep = {0, 0.5, 1, 2},
             .help = "what the factor of the last layer has more"});
    p(mean, {.name = "mean", .help = "divide alpha by the number of experts"});
  }

  void prepare(const ModelJob& job) {
    // A model without blocks is as deep as it has layers.
    deepest_block_ = deepest_layer_ = 0;
    has_blocks_ = false;
    for (const std::string& name : job.names()) {
      const auto block = job.evidence().block(name);
      has_blocks_ = has_blocks_ || block;
      deepest_block_ = std::max(deepest_block_, block.value_or(0));
      if (const LayerInfo* layer = job.evidence().layer(name))
        deepest_layer_ = std::max(deepest_layer_, layer->depth);
    }
  }
  at::Tensor finish(const TensorJob& part, const at::Tensor& merged) const {
    const double first = mean ? alpha / static_cast<double>(part.experts.size()) : alpha;
    const double factor = first + beta * depth(part);
    if (factor == 1) return merged;
    return delta_merge(part.base, {merged}, {{.weight = static_cast<float>(factor)}}, {});
  }

 private:
  /// From 0 for the first layer to 1 for the last; 0 for tensors that are in none.
  double depth(const TensorJob& part) const {
    const int64_t deepest = has_blocks_ ? deepest_block_ : deepest_layer_;
    if (deepest == 0) return 0;
    int64_t depth = part.evidence().block(part.name).value_or(0);
    if (!has_blocks_)
      if (const LayerInfo* layer = layer_of(part)) depth = layer->depth;
    return static_cast<double>(depth) / static_cast<double>(deepest);
  }
  /// The layer whose weight or bias this is.
  static const LayerInfo* layer_of(const TensorJob& part) {
    const std::string module = part.name.substr(0, part.name.rfind('.'));
    const LayerInfo* own = part.evidence().layer(part.name);
    return own ? own : part.evidence().layer(module + ".weight");
  }

  bool has_blocks_ = false;
  int64_t deepest_block_ = 0, deepest_layer_ = 0;
};

ASSAY_MODIFIER(Lines)

}  // namespace
}  // namespace assay
