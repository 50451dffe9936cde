#include <fmt/format.h>

#include "harness/checkpoint/layer_stack.h"
#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/core/glob.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/method.h"

namespace assay {
namespace {

/// Evolutionary merging in data-flow space: a path through the experts' layers. Slots are all
/// layers of the first expert, of the second, ..., and all of them again; the path visits some of
/// them in that order, and scales what enters each. Embeddings, final norm and head are the first
/// expert's.
///
/// A scale w of the residual stream is a factor of weights: as norms divide it out, w x + f(x) and
/// x + f(x) / w lead to the same result. So what a layer adds to the stream is divided by all
/// scales up to it. That is exact, up to the norms' epsilon, where every branch begins with a norm
/// and ends with one of 'outputs', and the head is behind a norm.
struct LayerPath {
  static constexpr MethodInfo info{
      .name = "layer_path",
      .paper = "arXiv:2403.13187 §3.2",
      .summary = "a path through the layers of all experts, to be searched",
      .needs = {.output = Output::kReshaped},
      .elementwise = true,
      .own_moments = true,
      .flops = "none, or those of the layers that are scaled"};
  std::vector<double> visits, scales;
  std::vector<std::string> outputs{"*.o_proj.*", "*.down_proj.*",     "*.out_proj.*",
                                   "*.c_proj.*", "*.dense_4h_to_h.*", "*.attention.dense.*"};

  void parameters(auto&& p) {
    p(visits,
      {.name = "visits",
       .range = {-1, 1},
       .help = "a number per slot, layers times experts times passes: the path visits those "
               "from 0 on; empty: all layers of the first expert"});
    p(scales, {.name = "scales",
               .range = {0.1, 10},
               .help = "a number per slot, which multiplies the residual stream that enters it; "
                       "empty: 1"});
    p(outputs, {.name = "outputs",
                .help = "globs of the tensors whose product with their input a layer adds to the "
                        "residual stream, and of their biases"});
  }
  std::optional<std::string> conflict() const {
    if (!scales.empty() && scales.size() != visits.size())
      return fmt::format(
          "parameter 'scales' has {} entries: expected none, or as many as 'visits' "
          "has ({})",
          scales.size(), visits.size());
    return std::nullopt;
  }

  OutputPlan plan(const PlanInputs& models) const;
  at::Tensor merge(const TensorJob& part) const {
    const double factor = factor_of(part.name);
    return factor == 1 ? part.experts.front() : scaled_sum(part.experts, factor);
  }

 private:
  /// The slots that are visited; with empty `visits` all below `layers`.
  std::vector<size_t> path(size_t layers) const {
    std::vector<size_t> slots;
    for (size_t slot = 0; slot < (visits.empty() ? layers : visits.size()); ++slot)
      if (visits.empty() || visits[slot] >= 0) slots.push_back(slot);
    return slots;
  }
  double factor_of(const std::string& tensor) const;
};

OutputPlan LayerPath::plan(const PlanInputs& models) const {
  std::vector<LayerStack> stacks;
  for (const TensorSource* expert : models.experts) stacks.emplace_back(*expert, models.config);
  const auto layers = static_cast<size_t>(stacks.front().size());
  const size_t pass = layers * stacks.size();
  if (visits.size() % pass != 0)
    user_error(
        "layer_path: parameter 'visits' has {} entries: expected a multiple of {}, {} layers of "
        "each of {} experts",
        visits.size(), pass, layers, stacks.size());
  const std::vector<size_t> slots = path(layers);
  if (slots.empty())
    throw SkipCell("layer_path visits no layer: every entry of 'visits' is below 0");

  OutputPlan plan{models.config, {}};
  for (const TensorInfo* tensor : stacks.front().outside())
    plan.tensors.push_back({.name = tensor->name, .experts = {{.tensor = tensor->name}}});
  std::vector<LayerOrigin> origins;
  for (const size_t slot : slots) {
    const size_t expert = slot % pass / layers;
    const auto layer = static_cast<int64_t>(slot % layers);
    for (const TensorInfo* tensor : stacks[expert].layer(layer))
      plan.tensors.push_back({.name = stacks[expert].renumbered(tensor->name, std::ssize(origins)),
                              .experts = {{.model = expert, .tensor = tensor->name}}});
    origins.push_back({&models.config, layer});
  }
  set_layers(plan.config, origins);
  return plan;
}

double LayerPath::factor_of(const std::string& tensor) const {
  if (scales.empty()) return 1;
  const auto layer = layer_name(tensor);
  if (!layer || !matches_any(outputs, tensor)) return 1;
  const std::vector<size_t> slots = path(0);
  double divisor = 1;
  for (size_t k = 0; k <= static_cast<size_t>(layer->index); ++k) divisor *= scales[slots.at(k)];
  return 1 / divisor;
}

ASSAY_METHOD(LayerPath)

}  // namespace
}  // namespace assay
