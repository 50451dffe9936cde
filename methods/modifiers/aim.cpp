#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/modifier.h"

namespace assay {
namespace {

/// AIM (Activation-Informed Merging): of what a merge changed, the columns of a layer that read
/// large activations are damped, since the base's outputs depend on them most.
struct Aim {
  static constexpr MethodInfo info{
      .name = "aim",
      .paper = "arXiv:2502.02421 §3",
      .summary = "damps what another method changed where layers read large activations",
      .needs = {.base = true, .calibration_inputs = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "omega": 1})",
      .flops = "3 d, and what 'of' takes"};
  double omega = 0.4;

  void parameters(auto&& p) {
    p(omega, {.name = "omega",
              .range = {0, 1},
              .sweep = {0.2, 0.4, 0.6, 0.8},
              .help = "what is left of the change of the column with the largest activations; "
                      "columns in between are damped in proportion. Activations are the experts' "
                      "mean magnitudes, each on its own data; the paper takes the base's on one "
                      "text for all"});
  }

  std::vector<StatisticRef> statistics() const { return {{"activation_moments"}}; }

  /// Of a layer's weight; without factors for all other tensors.
  struct Damping {
    at::Tensor factors;  ///< one for each input, float32
    int64_t stride = 1;  ///< elements between those of two inputs
  };
  Damping measure(const TensorParts& tensor) const {
    const LayerInfo* layer = tensor.evidence().layer(tensor.name());
    if (!layer || tensor.elements() == 0) return {};
    const OneThread one;
    at::Tensor sum = at::zeros({layer->inputs}, at::kDouble);
    for (size_t i = 0; i < tensor.num_experts(); ++i) {
      const auto moments = tensor.evidence().statistic(statistics()[0], i);
      if (!moments->find(layer->input)) continue;  // no token reached the layer
      const at::Tensor rows = moments->read(layer->input);
      if (rows.sizes() != at::IntArrayRef{4, layer->inputs})
        data_error(
            "the statistic 'activation_moments' of expert {} has shape {} for '{}': expected "
            "[4, {}]",
            i, shape_text(rows.sizes()), layer->input, layer->inputs);
      sum += rows[kMeanMagnitude].cpu().to(at::kDouble);
    }
    const double largest = sum.max().item<double>();
    const at::Tensor shares = largest > 0 ? sum / largest : sum;
    const at::Tensor factors = (1 - (1 - omega) * shares).to(at::kFloat);
    tensor.report("factor_mean", factors.mean().item<double>());
    return {factors, layer->in_out ? tensor.elements() / layer->inputs : 1};
  }
  at::Tensor finish(const TensorJob& part, const at::Tensor& merged, const Damping& damping) const {
    if (!damping.factors.defined()) return merged;
    const at::Tensor places = at::arange(part.offset, part.offset + merged.numel(), at::kLong);
    const at::Tensor inputs =
        places.floor_divide(damping.stride).remainder(damping.factors.size(0));
    const at::Tensor base = part.base.to(at::kFloat).flatten();
    const at::Tensor change = merged.to(at::kFloat).flatten() - base;
    return (base + change * damping.factors.index_select(0, inputs).to(base.device()))
        .reshape(merged.sizes());
  }

 private:
  static constexpr int64_t kMeanMagnitude = 2;  ///< a row of the statistic
};

ASSAY_MODIFIER(Aim)

}  // namespace
}  // namespace assay
