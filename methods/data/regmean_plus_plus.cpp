#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <vector>

#include "harness/method/layer_inputs.h"
#include "methods/data/fit_options.h"

namespace assay {
namespace {

/// RegMean++: RegMean, block by block, on what each block gets from the merged blocks before it. In
/// a block every expert's own weights make the inputs of its later layers.
struct RegMeanPlusPlus {
  static constexpr MethodInfo info{
      .name = "regmean_plus_plus",
      .version = 2,
      .paper = "arXiv:2508.03121 §3",
      .summary = "RegMean on the inputs that each block gets from the merged blocks before it",
      .needs = {.calibration_inputs = true},
      .flops = "as regmean, and for each block N passes through the network"};
  static constexpr Preset presets[] = {
      {"mergebench", R"({"alpha": 0.1})", "MergeBench's scripts for language models"}};
  double alpha = 0.95;
  FitOptions fit;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.1, 0.5, 0.9, 0.95, 1.0},
              .help = "multiplier of the entries off the Gram matrices' diagonals"});
    fit.parameters(p);
  }

  std::optional<std::string> conflict() const {
    if (!fit.others->statistics().empty())
      return fmt::format(
          "parameter 'others' is {}, which reads statistics of the experts: expected a method that "
          "reads none",
          fit.others->info().name);
    return fit.conflict();
  }
  void prepare(const ModelJob& job) { fit.prepare(job); }
  StateDict merge_model(const ModelJob& job) const;

 private:
  using Group = std::vector<LayerInfo>;

  /// The fitted layers in the order in which they run: those of a block together.
  std::vector<Group> groups(const ModelJob& job) const;
  /// What a group's layers read in the merged network with one expert's own block.
  StateDict grams(const ModelJob& job, const StateDict& merged, const Group& group,
                  size_t expert) const;
};

std::vector<RegMeanPlusPlus::Group> RegMeanPlusPlus::groups(const ModelJob& job) const {
  std::vector<LayerInfo> layers;
  for (const std::string& name : job.names())
    if (const LayerInfo* layer = fit.fitted(job.evidence(), name)) layers.push_back(*layer);
  std::sort(layers.begin(), layers.end(),
            [](const LayerInfo& a, const LayerInfo& b) { return a.depth < b.depth; });
  std::vector<Group> groups;
  for (LayerInfo& layer : layers) {
    if (groups.empty() || !layer.block || layer.block != groups.back().back().block)
      groups.emplace_back();
    groups.back().push_back(std::move(layer));
  }
  return groups;
}

StateDict RegMeanPlusPlus::grams(const ModelJob& job, const StateDict& merged, const Group& group,
                                 size_t expert) const {
  StateDict network = merged;
  if (const auto block = group.front().block)
    for (const std::string& name : job.names())
      if (job.evidence().block(name) == block)
        network[name] = job.tensor(name).experts[expert].to(at::kFloat);
  return layer_inputs(job.evidence().network()).input_grams(network, expert, group);
}

StateDict RegMeanPlusPlus::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  StateDict merged;
  for (const std::string& name : job.names())
    if (!fit.fitted(job.evidence(), name)) merged[name] = merge_by(fit.others, job.tensor(name));
  const std::vector<double> shares = fit.shares(job.num_experts());
  for (const Group& group : groups(job)) {
    std::vector<StateDict> of_experts;
    for (size_t i = 0; i < job.num_experts(); ++i)
      of_experts.push_back(grams(job, merged, group, i));
    StateDict fitted;
    for (const LayerInfo& layer : group) {
      const TensorJob tensor = job.tensor(layer.weight);
      const LayerMatrices matrices = layer_matrices(tensor.experts, layer, shares);
      NormalEquations equations = normal_equations(matrices, shares, alpha, [&](size_t expert) {
        const auto gram = of_experts[expert].find(layer.input);
        if (gram == of_experts[expert].end())  // no token reached the layer
          return at::zeros({matrices.inputs(), matrices.inputs()}, matrices.mean.options());
        return gram->second.to(matrices.mean.device());
      });
      SolveNotes notes;
      const at::Tensor difference = solve(equations, layer.weight, notes);
      const TensorParts reports = job.parts(layer.weight);
      reports.report("dead_inputs", notes.dead_inputs);
      reports.report("ridge", notes.ridge);
      fitted[layer.weight] =
          stored_weight(matrices.mean + difference, layer, tensor.experts.front().sizes());
    }
    merged.merge(fitted);
  }
  return merged;
}

ASSAY_METHOD(RegMeanPlusPlus)

}  // namespace
}  // namespace assay
