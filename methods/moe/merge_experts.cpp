#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/method.h"
#include "methods/moe/merge_experts_parameters.h"
#include "methods/moe/mixture_slots.h"

namespace assay {
namespace {

/// Merges experts within one mixture. Its form stays: the router still scores all experts, and
/// those of a group are equal, so a token that is sent to several of them meets one, with the sum
/// of their weights.
struct MergeExperts : MergeExpertsParameters {
  static constexpr MethodInfo info{
      .name = "merge_experts",
      .paper = "arXiv:2310.01334 §3",
      .summary = "merges experts within one mixture, by how its router uses them",
      .needs = {.max_experts = 1, .calibration_inputs = true, .output = Output::kMixtureOfExperts},
      .randomized = true,
      // With a group for each expert: the tests' mixture has so many.
      .identity = R"({"experts": 6, "allocation": "uniform"})",
      .flops =
          "6 (E - 1) u^2 w + 6 E u w for each layer of E experts with three matrices of u units "
          "and w inputs"};
  static constexpr Preset presets[] = {
      {"m_smoe", "{}", "M-SMoE (the default)"},
      {"hc_smoe",
       R"({"allocation": "uniform", "grouping": "linkage", "similarity": "expert_output",
           "measure": "distance", "alignment": "none"})",
       "HC-SMoE (arXiv:2410.08589): average linkage on the mean outputs of experts on all tokens"},
      {"mergemoe",
       R"({"allocation": "uniform", "similarity": "expert_inputs", "alignment": "none",
           "refit": true})",
       "MergeMoE (arXiv:2510.14436): the output matrix is fitted to what the members gave"},
      {"sub_moe",
       R"({"allocation": "uniform", "grouping": "means", "similarity": "expert_output",
           "alignment": "none", "merge": "subspace"})",
       "Sub-MoE (arXiv:2506.23266): k-means on outputs, and the mean in a joint subspace; groups of "
       "equal number in each layer"},
      {"random_average",
       R"({"allocation": "uniform", "grouping": "random", "alignment": "none",
           "merge": "uniform"})",
       "a baseline: the plain mean of random groups"},
      {"random_matching",
       R"({"allocation": "uniform", "grouping": "random", "alignment": "group",
           "merge": "uniform"})",
       "a baseline: Git Re-Basin's weight matching within random groups, and the plain mean"},
      {"random_zip",
       R"({"allocation": "uniform", "grouping": "random", "alignment": "none", "merge": "zip"})",
       "a baseline: ZipIt within random groups"}};

  Needs needs() const {
    Needs needs = info.needs;
    needs.calibration_inputs = !statistics().empty() || group_merge().runs();
    needs.calibration_labels = merge == GroupMean::kFisher;
    needs.architecture = store == Store::kCompact && allocation == Allocation::kAdaptive;
    return needs;
  }
  bool randomized() const { return choice.is_random(); }
  std::vector<StatisticRef> statistics() const;
  std::optional<std::string> conflict() const;
  OutputPlan plan(const PlanInputs& models) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  bool reads_usage() const {
    return allocation == Allocation::kAdaptive ||
           choice.grouping == GroupChoice::Grouping::kUsage ||
           (merge != GroupMean::kUniform && merge != GroupMean::kFisher);
  }
  GroupMerge group_merge() const { return {merge, epsilon, subspace, zip_alpha, refit, ridge}; }
  /// With its parameters; of the others the name alone tells what is wanted.
  StatisticRef routing() const {
    StatisticRef wanted{"routing"};
    if (choice.compares() && choice.similarity == ExpertSimilarity::kExpertOutput)
      wanted.parameters["outputs"] = true;
    return wanted;
  }
  bool reads_routing() const {
    const ExpertSimilarity by = choice.similarity;
    const bool of_data = by == ExpertSimilarity::kRouterLogits ||
                         by == ExpertSimilarity::kExpertOutput || by == ExpertSimilarity::kFeature;
    return reads_usage() || (choice.compares() && of_data);
  }
  std::vector<GroupedLayer> read_layers(const ModelJob& job, const StateDict& weights) const;
};

std::vector<StatisticRef> MergeExperts::statistics() const {
  std::vector<StatisticRef> wanted;
  if (reads_routing()) wanted.push_back(routing());
  if (merge == GroupMean::kFisher) wanted.push_back({"fisher"});
  return wanted;
}

std::optional<std::string> MergeExperts::conflict() const {
  if (choice.grouping == GroupChoice::Grouping::kMeans &&
      choice.similarity == ExpertSimilarity::kRandom)
    return "parameter 'similarity' is random, and 'grouping' means needs vectors";
  if (refit && merge != GroupMean::kUsage && merge != GroupMean::kUniform)
    return "parameter 'refit' goes with 'merge' usage and uniform";
  if (choice.capacity > 0 && choice.grouping != GroupChoice::Grouping::kUsage)
    return "parameter 'capacity' goes with 'grouping' usage";
  return std::nullopt;
}

OutputPlan MergeExperts::plan(const PlanInputs& models) const {
  const TensorSource& model = *models.experts.front();
  std::vector<std::string> names;
  for (const TensorInfo& tensor : model.tensors()) names.push_back(tensor.name);
  const std::vector<MixtureLayer> layers = mixture_layers(names, info.name);
  const int64_t left = experts_left(layers, experts, info.name);
  if (allocation == Allocation::kUniform)
    need_room(layers.front().experts(), left, choice.capacity);
  OutputPlan plan{models.config, plan_slots(model, layers, layers.front().experts())};
  if (store == Store::kCompact) add_slots(models, layers, plan);
  const std::string activation =
      models.config.is_object() ? models.config.value("hidden_act", "silu") : "silu";
  if (group_merge().runs() && (layers.front().parts.size() != 3 || activation != "silu"))
    throw SkipCell(fmt::format(
        "{} runs gated experts with SiLU for 'refit' and 'merge' zip, and this model has others",
        info.name));
  return plan;
}

std::vector<GroupedLayer> MergeExperts::read_layers(const ModelJob& job,
                                                    const StateDict& weights) const {
  std::vector<std::string> all;
  for (const auto& [name, unused] : weights) all.push_back(name);
  std::vector<GroupedLayer> layers;
  for (MixtureLayer& names : mixture_layers(all, info.name)) {
    GroupedLayer& layer = layers.emplace_back();
    layer.experts =
        expert_matrices(names, [&](const std::string& tensor) { return weights.at(tensor); });
    layer.router = weights.at(names.router).to(at::kDouble);
    layer.names = std::move(names);
    if (merge == GroupMean::kFisher)
      layer.importance = expert_matrices(layer.names, [&](const std::string& tensor) {
        return job.evidence().statistic({"fisher"}, 0)->read(tensor).to(layer.router.device());
      });
    if (reads_routing())
      layer.routing = read_routing(*job.evidence().statistic(routing(), 0), layer.names.router,
                                   routing().parameters.contains("outputs"));
  }
  return layers;
}

StateDict MergeExperts::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  StateDict model = model_of_slots(job, info.name);
  std::vector<GroupedLayer> layers = read_layers(job, model);
  std::vector<MixtureLayer> names;
  std::vector<std::vector<double>> usages;
  for (const GroupedLayer& layer : layers) {
    names.push_back(layer.names);
    usages.push_back(layer.routing.usage);
  }
  const int64_t left = experts_left(names, experts, info.name);
  const std::vector<int64_t> groups = allocation == Allocation::kAdaptive
                                          ? allocate_groups(usages, left, ties)
                                          : std::vector<int64_t>(layers.size(), left);
  for (size_t i = 0; i < layers.size(); ++i) {
    GroupedLayer& layer = layers[i];
    if (alignment == Alignment::kFirst)
      for (int64_t e = 1; e < layer.names.experts(); ++e) match_units(layer, 0, e);
    layer.groups = choice.groups_of(layer, groups[i], job.tensor(layer.names.router).expert_key(0));
    if (alignment != Alignment::kGroup) continue;
    for (const auto& group : layer.groups) {
      const int64_t target = *std::min_element(group.begin(), group.end());
      for (const int64_t e : group)
        if (e != target) match_units(layer, target, e);
    }
  }
  if (group_merge().runs()) observe_groups(job, model, batch, group_merge(), layers);
  const TensorParts reports = job.parts(job.names().front());
  for (const GroupedLayer& layer : layers) {
    store_groups(layer.names, layer.groups, merged_groups(layer, group_merge()),
                 store == Store::kCompact, model);
    reports.report("experts_left", static_cast<double>(layer.groups.size()));
    if (reads_routing()) reports.report("usage_entropy", usage_entropy(layer.routing.usage));
  }
  StateDict result;
  for (const std::string& name : job.names())
    if (const auto made = model.find(name); made != model.end()) result[name] = made->second;
  return result;
}

ASSAY_METHOD(MergeExperts)

}  // namespace
}  // namespace assay
