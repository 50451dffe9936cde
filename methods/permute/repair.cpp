#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "harness/kernels/one_thread.h"
#include "harness/method/layer_inputs.h"
#include "harness/method/method.h"
#include "methods/inner_merge.h"
#include "methods/permute/units.h"

namespace assay {
namespace {

/// REPAIR: averages of networks have units that vary less than the networks' own, layer by layer.
/// Restores the moments of units after any merge. With BatchNorm the running moments are estimated
/// again; without, each hidden layer's outputs get the mean of the experts' means and standard
/// deviations, by scaling and shifting its weights.
///
/// Experts whose units are in other orders have no such means: it is to be applied by the method
/// that matches them, git_rebasin{of: repair}.
struct Repair {
  static constexpr MethodInfo info{
      .name = "repair",
      .paper = "arXiv:2211.08403 §3",
      .summary = "restores the means and deviations of units that another method's merge lost",
      .needs = {.calibration_inputs = true, .same_initialization = false},
      .own_moments = true,
      .identity = R"({"of": "average"})",
      .flops =
          "all examples through N networks, and once more for each hidden layer; with BatchNorm "
          "once; and what 'of' takes"};
  int64_t batch = 64;
  bool rescale = true;
  MethodComponent of{"average"};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges"});
    p(batch, {.name = "batch",
              .range = {2, 4096},
              .help = "examples in a forward pass, by whose moments BatchNorm layers normalise "
                      "while they are estimated"});
    p(rescale, {.name = "rescale",
                .help = "whether layers of networks without BatchNorm are scaled and shifted"});
  }

  std::optional<std::string> conflict() const { return form_conflict("of", *of); }
  void prepare(const ModelJob& job) { of->prepare(job); }
  StateDict merge_model(const ModelJob& job) const;

 private:
  void scale_layers(const ModelJob& job, StateDict& merged) const;
};

/// Sums over the outputs of a layer: [outputs] each.
struct OutputMoments {
  double rows = 0;
  at::Tensor sum, squares;

  void add(const at::Tensor& outputs) {
    const at::Tensor y = outputs.to(at::kDouble);
    sum = sum.defined() ? sum + y.sum(0) : y.sum(0);
    squares = squares.defined() ? squares + y.square().sum(0) : y.square().sum(0);
    rows += static_cast<double>(y.size(0));
  }
  at::Tensor mean() const { return sum / rows; }
  at::Tensor deviation() const { return (squares / rows - mean().square()).clamp_min(0).sqrt(); }
};

/// Of these layers, on the examples of all experts.
std::map<std::string, OutputMoments> output_moments(const Network& network,
                                                    const StateDict& weights, size_t experts,
                                                    int64_t batch,
                                                    const std::set<std::string>& layers) {
  const OneThread one;
  std::map<std::string, OutputMoments> moments;
  for (size_t expert = 0; expert < experts; ++expert)
    for (int64_t first = 0; first < network.examples(expert); first += batch)
      layer_inputs(network).observe(
          weights, expert, first, std::min(batch, network.examples(expert) - first),
          [&](const std::string& weight, const std::function<at::Tensor(LayerValue)>& value) {
            if (!layers.contains(weight)) return;
            const at::Tensor outputs = value(LayerValue::kOutputs);
            if (outputs.size(0) > 0) moments[weight].add(outputs);
          });
  return moments;
}

/// The layers whose outputs are units, in the order in which they run.
std::vector<LayerInfo> hidden_layers(const ModelJob& job) {
  const UnitGroups groups(job, /*streams=*/true, Repair::info.name);
  std::vector<LayerInfo> layers;
  for (const std::string& name : job.names())
    if (const LayerInfo* layer = job.evidence().layer(name))
      if (groups.of_axis(name, layer->in_out ? 1 : 0)) layers.push_back(*layer);
  std::sort(layers.begin(), layers.end(),
            [](const LayerInfo& a, const LayerInfo& b) { return a.depth < b.depth; });
  return layers;
}

void Repair::scale_layers(const ModelJob& job, StateDict& merged) const {
  const Network& network = job.evidence().network();
  const std::vector<LayerInfo> layers = hidden_layers(job);
  std::set<std::string> names;
  for (const LayerInfo& layer : layers) names.insert(layer.weight);
  std::map<std::string, at::Tensor> means, deviations;  // the goals: sums over experts
  for (size_t i = 0; i < job.num_experts(); ++i)
    for (const auto& [name, moments] :
         output_moments(network, expert_weights(job, i), job.num_experts(), batch, names)) {
      const auto experts = static_cast<double>(job.num_experts());
      const auto add = [&](at::Tensor& sum, const at::Tensor& value) {
        sum = sum.defined() ? sum + value / experts : value / experts;
      };
      add(means[name], moments.mean());
      add(deviations[name], moments.deviation());
    }
  // What a layer gives depends on those before it: they are corrected one after the other.
  for (const LayerInfo& layer : layers) {
    const auto found = output_moments(network, merged, job.num_experts(), batch, {layer.weight});
    const auto own = found.find(layer.weight);
    if (own == found.end() || !means.contains(layer.weight)) continue;
    const at::Tensor mean = own->second.mean(), deviation = own->second.deviation();
    // A unit that never varies has nothing to be scaled.
    const at::Tensor scale =
        at::where(deviation > 0, deviations.at(layer.weight) / deviation, at::ones_like(deviation));
    at::Tensor& weight = merged.at(layer.weight);
    std::vector<int64_t> along(static_cast<size_t>(weight.dim()), 1);
    along[layer.in_out ? 1 : 0] = -1;
    weight = (weight.to(at::kDouble) * scale.view(along)).to(at::kFloat);
    const auto bias = merged.find(layer.bias);
    if (bias == merged.end()) continue;
    bias->second =
        (means.at(layer.weight) + scale * (bias->second.to(at::kDouble) - mean)).to(at::kFloat);
  }
}

StateDict Repair::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  StateDict merged;
  if (of->granularity() == Granularity::kModel) {
    merged = of->merge_model(job);
  } else {
    for (const std::string& name : job.names()) {
      const TensorJob tensor = job.tensor(name);
      merged[name] = merge_inner(*of, tensor, tensor.base, tensor.experts);
    }
  }
  std::vector<size_t> experts(job.num_experts());
  std::iota(experts.begin(), experts.end(), size_t{0});
  StateDict moments =
      layer_inputs(job.evidence().network()).running_moments(merged, experts, batch);
  if (moments.empty() && rescale) scale_layers(job, merged);
  for (auto& [name, values] : moments)
    if (const auto place = merged.find(name); place != merged.end())
      place->second = std::move(values);
  return merged;
}

ASSAY_METHOD(Repair)

}  // namespace
}  // namespace assay
