#include "harness/merge/mergekit/resolve.h"

#include <algorithm>
#include <set>

#include "harness/checkpoint/layer_stack.h"
#include "harness/core/error.h"

namespace assay {
namespace {

using Models = MergekitMethod::Models;

/// Looks parameters up as mergekit does: at the model, then in what surrounds it.
class Lookup {
 public:
  Lookup(const MergekitConfig& config, const MergekitScope& scope)
      : config_(config), scope_(scope) {}

  double shared(std::string_view name) const {
    if (const auto value = surrounding(name, scope_.tensor)) return *value;
    return fallback(name, config_.method_line, "");
  }
  /// Where the surroundings set it.
  int line(std::string_view name) const {
    for (const MergekitSettings* settings : scope_.settings)
      if (const auto it = settings->find(name); it != settings->end()) return it->second.line;
    return config_.method_line;
  }
  bool flag(std::string_view name) const { return shared(name) != 0; }
  std::vector<double> each(std::string_view name, const std::vector<MergekitModel>& models) const {
    std::vector<double> values;
    for (size_t i = 0; i < models.size(); ++i) {
      const MergekitModel& model = models[i];
      auto value = find(model.parameters, name, scope_.inputs.at(i));
      if (!value) value = surrounding(name, scope_.inputs[i]);
      values.push_back(
          value ? *value
                : fallback(name, model.line, fmt::format(" of the model '{}'", model.model)));
    }
    return values;
  }

 private:
  std::optional<double> find(const MergekitSettings& settings, std::string_view name,
                             const std::string& tensor) const {
    const auto it = settings.find(name);
    return it == settings.end() ? std::nullopt : it->second.find(tensor, scope_.depth);
  }
  std::optional<double> surrounding(std::string_view name, const std::string& tensor) const {
    for (const MergekitSettings* settings : scope_.settings)
      if (const auto value = find(*settings, name, tensor)) return value;
    return std::nullopt;
  }
  double fallback(std::string_view name, int line, const std::string& owner) const {
    const auto& parameters = mergekit_method(config_.method).parameters;
    const auto it = std::find_if(parameters.begin(), parameters.end(),
                                 [&](const auto& parameter) { return parameter.name == name; });
    if (!it->fallback)
      user_error("{}:{}: the parameter '{}'{} is missing for the tensor '{}'; {} needs it",
                 config_.where, line, name, owner, scope_.tensor, config_.method);
    return *it->fallback;
  }

  const MergekitConfig& config_;
  const MergekitScope& scope_;
};

/// Of the methods that leave out entries of the task vectors.
void add_sparsification(const MergekitConfig& config, const std::vector<MergekitModel>& experts,
                        const Lookup& lookup, Json& out) {
  const std::string& method = config.method;
  // mergekit clamps densities to 0 and 1.
  std::vector<double> densities = lookup.each("density", experts);
  for (double& density : densities) density = std::clamp(density, 0.0, 1.0);
  const bool rescale = lookup.flag("rescale");
  if (method == "ties") {
    if (rescale)
      user_error("{}:{}: 'rescale' with ties is not supported yet", config.where,
                 lookup.line("rescale"));
    // Nothing of a model is left at density 0, and so it has no vote.
    for (size_t i = 0; i < densities.size(); ++i)
      if (densities[i] == 0) out["weights"][i] = 0.0;
    out["densities"] = densities;
    out["trim.ties"] = "introsort";
    return;
  }
  if (method.starts_with("breadcrumbs")) {
    out["densities"] = densities;
    out["gammas"] = lookup.each("gamma", experts);
    out["rescale"] = rescale;
    return;
  }
  for (double& density : densities) density = 1 - density;
  out["drops"] = densities;
  out["rescale"] = rescale ? "l1_match" : "none";
  if (!method.starts_with("della")) return;
  std::vector<double> windows = lookup.each("epsilon", experts);
  for (double& window : windows) window *= 2;
  out["windows"] = windows;
}

}  // namespace

Json mergekit_parameters(const MergekitConfig& config, const std::vector<MergekitModel>& experts,
                         const MergekitScope& scope) {
  const Lookup lookup(config, scope);
  const std::string& method = config.method;
  if (method == "slerp" || method == "nearswap") return {{"t", lookup.shared("t")}};
  if (method == "passthrough") return {{"scale", lookup.each("scale", experts).front()}};
  if (method == "arcee_fusion") return Json::object();
  if (method == "sce") return {{"select_topk", std::clamp(lookup.shared("select_topk"), 0.0, 1.0)}};
  if (method == "ram") return {{"epsilon", lookup.shared("epsilon")}};
  if (method == "ramplus_tl")
    return {{"r", lookup.shared("r")},
            {"alpha", lookup.shared("alpha")},
            {"epsilon", lookup.shared("epsilon")}};
  if (method == "model_stock") return {{"scope", lookup.flag("filter_wise") ? "row" : "tensor"}};

  Json out = {{"weights", lookup.each("weight", experts)}};
  if (method == "nuslerp") {
    const char* vectors = lookup.flag("nuslerp_row_wise") ? "column" : "row";
    out["scope"] = lookup.flag("nuslerp_flatten") ? "tensor" : vectors;
    out["task_vectors"] = config.base_model.has_value();
    return out;
  }
  if (method == "linear") {
    out["normalize"] = lookup.flag("normalize");
    return out;
  }
  out["scale"] = lookup.shared("lambda");
  const bool votes = method.ends_with("ties") || method == "della";
  if (votes)
    out["reduce"] = lookup.flag("normalize") ? "weighted_mean_agree" : "sum_agree";
  else
    out["normalize"] = lookup.flag("normalize");
  if (method != "task_arithmetic") add_sparsification(config, experts, lookup, out);
  return out;
}

void note_settings(const MergekitConfig& config, const MergekitSettings& settings,
                   const std::vector<std::string>& tensors, std::vector<std::string>& notes) {
  const auto& parameters = mergekit_method(config.method).parameters;
  for (const auto& [name, setting] : settings) {
    const std::string place = fmt::format("{}:{}: ", config.where, setting.line);
    const auto known =
        std::find_if(parameters.begin(), parameters.end(),
                     [&name = name](const auto& parameter) { return parameter.name == name; });
    if (!known->no_effect.empty())
      notes.push_back(fmt::format("{}'{}' has no effect: {}", place, name, known->no_effect));
    for (const MergekitValue& value : setting.values)
      if (std::none_of(tensors.begin(), tensors.end(), [&](const std::string& tensor) {
            return tensor.find(value.filter) != std::string::npos;
          }))
        notes.push_back(fmt::format("{}the filter '{}' of '{}' is part of no tensor's name", place,
                                    value.filter, name));
  }
}

void MergekitGroups::add(const std::string& tensor, Json parameters) {
  const auto [it, is_new] = group_of_.emplace(canonical(parameters), groups_.size());
  if (is_new) groups_.push_back({method_, std::move(parameters), {}});
  groups_[it->second].tensors.push_back(tensor);
}

MergekitModels mergekit_models(const MergekitConfig& config, const MergekitSlice* slice) {
  const MergekitMethod& method = mergekit_method(config.method);
  const auto& base = slice && slice->base_model ? slice->base_model : config.base_model;
  const std::vector<MergekitModel>& listed = slice ? slice->sources : config.models;
  const int line = slice ? slice->line : config.method_line;
  const auto fail = [&](const std::string& message) {
    user_error("{}:{}: {} {}", config.where, line, config.method, message);
  };
  const bool task_vectors = method.takes_task_vectors(base.has_value());
  if ((method.models == Models::kTaskVectors || method.models == Models::kPair) && !base)
    fail("needs a base_model, and none is given");

  MergekitModels models;
  const MergekitModel* listed_base = nullptr;
  for (const MergekitModel& model : listed) {
    const bool is_base = base && model.model == base->model;
    if (is_base) listed_base = &model;
    if (is_base && task_vectors) continue;
    if (is_base) models.like = models.experts.size();
    models.experts.push_back(model);
  }
  // Whether a merge is one of task vectors holds for all of its slices.
  if (method.models == Models::kTwo && base && !config.base_model)
    fail("needs a base_model at the top level where a slice names one");
  // Layers of a base are those that a slice says.
  if (slice && !listed_base && (task_vectors || method.models == Models::kPair))
    fail(fmt::format("needs the base_model '{}' among the sources of every slice", base->model));
  if (task_vectors) {
    models.base = slice ? *listed_base : *base;
    if (models.experts.empty()) fail("needs a model besides the base_model");
  } else if (!slice && base && !listed_base) {
    // As in mergekit: one more model, without parameters of its own.
    models.like = models.experts.size();
    models.experts.push_back(*base);
  }
  if (method.models == Models::kPair) {
    if (models.experts.size() != 2)
      fail(fmt::format("merges the base_model and one other, and {} models are given",
                       models.experts.size()));
    std::swap(models.experts.front(), models.experts[models.like]);
    models.like = 0;
  }
  if (method.models == Models::kTwo && models.experts.size() != 2)
    fail(fmt::format("merges two models besides the base_model, and {} are given",
                     models.experts.size()));
  if (method.models == Models::kOne && models.experts.size() != 1)
    fail(fmt::format("takes one model, and {} are given", models.experts.size()));
  return models;
}

MergekitPlan resolve_mergekit(const MergekitConfig& config, const MergekitModels& models,
                              const std::vector<std::string>& tensors, int64_t num_layers) {
  MergekitPlan plan;
  const LayerDepths depth(tensors, num_layers);
  MergekitGroups groups(std::string(mergekit_method(config.method).preset));
  for (const std::string& tensor : tensors)
    groups.add(tensor, mergekit_parameters(config, models.experts,
                                           {.tensor = tensor,
                                            .inputs = std::vector(models.experts.size(), tensor),
                                            .depth = depth(tensor),
                                            .settings = {&config.parameters}}));
  plan.groups = groups.take();
  note_settings(config, config.parameters, tensors, plan.notes);
  for (const MergekitModel& model : config.models) {
    if (models.base && model.model == models.base->model && !model.parameters.empty())
      plan.notes.push_back(
          fmt::format("{}:{}: the parameters of '{}' have no effect: it is the base_model",
                      config.where, model.line, model.model));
    note_settings(config, model.parameters, tensors, plan.notes);
  }
  return plan;
}

LayerDepths::LayerDepths(const std::vector<std::string>& tensors, int64_t num_layers) {
  for (const std::string& tensor : tensors)
    if (const auto layer = layer_name(tensor)) {
      int64_t& count = layers_[layer->stack];
      count = std::max(count, layer->index + 1);
    }
  if (num_layers > 0 && layers_.size() == 1) layers_.begin()->second = num_layers;
}

double LayerDepths::operator()(const std::string& tensor) const {
  const auto layer = layer_name(tensor);
  if (!layer) return 0;
  const int64_t count = layers_.at(layer->stack);
  if (count <= 1) return 1;
  return std::min(1.0, static_cast<double>(layer->index) / static_cast<double>(count - 1));
}

}  // namespace assay
