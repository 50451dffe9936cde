#include "harness/merge/mergekit/resolve.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

using Models = MergekitMethod::Models;

struct LayerName {
  std::string stack;
  int64_t index;
};

// "model.layers.7.mlp.weight" is layer 7 of "model.layers".
std::optional<LayerName> layer_of(const std::string& tensor) {
  constexpr size_t kMaxDigits = 6;
  for (size_t begin = 0; begin < tensor.size();) {
    const size_t end = std::min(tensor.find('.', begin), tensor.size());
    const std::string part = tensor.substr(begin, end - begin);
    if (!part.empty() && part.size() <= kMaxDigits &&
        part.find_first_not_of("0123456789") == std::string::npos)
      return LayerName{tensor.substr(0, begin), std::stoll(part)};
    begin = end + 1;
  }
  return std::nullopt;
}

/// Looks parameters up as mergekit does: at the model, then at the top level.
class Lookup {
 public:
  Lookup(const MergekitConfig& config, const std::string& tensor, double t)
      : config_(config), tensor_(tensor), t_(t) {}

  double shared(std::string_view name) const {
    if (const auto value = find(config_.parameters, name)) return *value;
    return fallback(name, config_.method_line, "");
  }
  bool flag(std::string_view name) const { return shared(name) != 0; }
  std::vector<double> each(std::string_view name, const std::vector<MergekitModel>& models) const {
    std::vector<double> values;
    for (const MergekitModel& model : models) {
      auto value = find(model.parameters, name);
      if (!value) value = find(config_.parameters, name);
      values.push_back(
          value ? *value
                : fallback(name, model.line, fmt::format(" of the model '{}'", model.model)));
    }
    return values;
  }

 private:
  std::optional<double> find(const MergekitSettings& settings, std::string_view name) const {
    const auto it = settings.find(name);
    return it == settings.end() ? std::nullopt : it->second.find(tensor_, t_);
  }
  double fallback(std::string_view name, int line, const std::string& owner) const {
    const auto& parameters = mergekit_method(config_.method).parameters;
    const auto it = std::find_if(parameters.begin(), parameters.end(),
                                 [&](const auto& parameter) { return parameter.name == name; });
    if (!it->fallback)
      user_error("{}:{}: the parameter '{}'{} is missing for the tensor '{}'; {} needs it",
                 config_.where, line, name, owner, tensor_, config_.method);
    return *it->fallback;
  }

  const MergekitConfig& config_;
  const std::string& tensor_;
  double t_;
};

Json method_parameters(const MergekitConfig& config, const MergekitModels& models,
                       const Lookup& lookup) {
  const std::string& method = config.method;
  if (method == "slerp") return {{"t", lookup.shared("t")}};
  if (method == "passthrough") return {{"scale", lookup.each("scale", models.experts).front()}};

  Json out = {{"weights", lookup.each("weight", models.experts)}};
  if (method == "linear") {
    out["normalize"] = lookup.flag("normalize");
    return out;
  }
  out["scale"] = lookup.shared("lambda");
  const bool votes = method == "ties" || method == "dare_ties";
  if (votes)
    out["reduce"] = lookup.flag("normalize") ? "weighted_mean_agree" : "sum_agree";
  else
    out["normalize"] = lookup.flag("normalize");
  if (method == "task_arithmetic") return out;

  // mergekit clamps densities to 0 and 1.
  std::vector<double> densities = lookup.each("density", models.experts);
  for (double& density : densities) density = std::clamp(density, 0.0, 1.0);
  if (method == "ties") {
    if (lookup.flag("rescale"))
      user_error("{}:{}: 'rescale' with ties is not supported yet", config.where,
                 config.parameters.at("rescale").line);
    // Nothing of a model is left at density 0, and so it has no vote.
    for (size_t i = 0; i < densities.size(); ++i)
      if (densities[i] == 0) out["weights"][i] = 0.0;
    out["densities"] = densities;
    out["trim.ties"] = "introsort";
    return out;
  }
  for (double& density : densities) density = 1 - density;
  out["drops"] = densities;
  out["rescale"] = lookup.flag("rescale") ? "l1_match" : "none";
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

}  // namespace

MergekitModels mergekit_models(const MergekitConfig& config) {
  const MergekitMethod& method = mergekit_method(config.method);
  const auto& base = config.base_model;
  const auto fail = [&](int line, const std::string& message) {
    user_error("{}:{}: {} {}", config.where, line, config.method, message);
  };
  MergekitModels models;
  if (method.models == Models::kTaskVectors || method.models == Models::kPair)
    if (!base) fail(config.method_line, "needs a base_model, and none is given");

  for (const MergekitModel& model : config.models) {
    const bool is_base = base && model.model == base->model;
    if (is_base && method.models == Models::kTaskVectors) continue;
    if (is_base) models.like = models.experts.size();
    models.experts.push_back(model);
  }
  const bool listed = base && std::any_of(config.models.begin(), config.models.end(),
                                          [&](const auto& m) { return m.model == base->model; });
  if (method.models == Models::kTaskVectors) {
    models.base = base;
    if (models.experts.empty()) fail(config.method_line, "needs a model besides the base_model");
  } else if (base && !listed) {  // as in mergekit: one more model, without parameters of its own
    models.like = models.experts.size();
    models.experts.push_back(*base);
  }
  if (method.models == Models::kPair) {
    if (models.experts.size() != 2)
      fail(config.method_line, fmt::format("merges the base_model and one "
                                           "other, and {} models are given",
                                           models.experts.size()));
    std::swap(models.experts.front(), models.experts[models.like]);
    models.like = 0;
  }
  if (method.models == Models::kOne && models.experts.size() != 1)
    fail(config.method_line,
         fmt::format("takes one model, and {} are given", models.experts.size()));
  return models;
}

MergekitPlan resolve_mergekit(const MergekitConfig& config, const MergekitModels& models,
                              const std::vector<std::string>& tensors, int64_t num_layers) {
  MergekitPlan plan;
  const LayerDepths depth(tensors, num_layers);
  std::map<std::string, size_t> group_of;
  for (const std::string& tensor : tensors) {
    Json parameters = method_parameters(config, models, Lookup(config, tensor, depth(tensor)));
    const auto [it, is_new] = group_of.emplace(canonical(parameters), plan.groups.size());
    if (is_new)
      plan.groups.push_back(
          {std::string(mergekit_method(config.method).preset), std::move(parameters), {}});
    plan.groups[it->second].tensors.push_back(tensor);
  }
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
    if (const auto layer = layer_of(tensor)) {
      int64_t& count = layers_[layer->stack];
      count = std::max(count, layer->index + 1);
    }
  if (num_layers > 0 && layers_.size() == 1) layers_.begin()->second = num_layers;
}

double LayerDepths::operator()(const std::string& tensor) const {
  const auto layer = layer_of(tensor);
  if (!layer) return 0;
  const int64_t count = layers_.at(layer->stack);
  if (count <= 1) return 1;
  return std::min(1.0, static_cast<double>(layer->index) / static_cast<double>(count - 1));
}

}  // namespace assay
