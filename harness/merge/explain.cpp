#include "harness/merge/explain.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"
#include "harness/method/running_moments.h"

namespace assay {
namespace {

/// Parameters that are not the method's defaults.
Json chosen_parameters(const Method& method) {
  const MethodEntry& entry = methods().at(std::string(method.info().name), "a merge");
  return changed_parameters(entry.parameters(), method.parameters());
}

/// "density 0.2, weights [1.0,0.5]".
std::string parameters_text(const Json& parameters, const std::set<std::string>& keys) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : parameters.items())
    if (keys.contains(key))
      parts.push_back(key + " " + (value.is_string() ? value.get<std::string>() : value.dump()));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// The parameters that all groups share, and those that differ between groups.
std::pair<std::set<std::string>, std::set<std::string>> split_keys(
    const std::vector<Json>& parameters) {
  std::set<std::string> shared, own;
  for (const Json& some : parameters)
    for (const auto& [key, value] : some.items()) {
      const bool everywhere = std::all_of(parameters.begin(), parameters.end(),
                                          [&, &name = key, &wanted = value](const Json& other) {
                                            return other.contains(name) && other[name] == wanted;
                                          });
      (everywhere ? shared : own).insert(key);
    }
  return {shared, own};
}

std::vector<const TensorSource*> all_models(const MergeInputs& inputs) {
  std::vector<const TensorSource*> models;
  if (inputs.base) models.push_back(inputs.base.get());
  for (const auto& expert : inputs.experts) models.push_back(expert.get());
  return models;
}

/// What is done to the models' tensors of this name before the merge, each thing once.
std::string changes(const std::vector<const TensorSource*>& models, const std::string& name) {
  std::string text;
  std::set<std::string> seen;
  for (const TensorSource* model : models)
    if (const auto* adjusted = dynamic_cast<const AdjustedSource*>(model))
      if (const std::string change = adjusted->change(name);
          !change.empty() && seen.insert(change).second)
        text += ", " + change;
  return text;
}

/// The models that a tensor is read from, by a method or, without one, to be copied.
std::vector<const TensorSource*> models_read(const MergeInputs& inputs, const Method* method) {
  if (!method) return {&reference_source(inputs)};
  std::vector<const TensorSource*> models = all_models(inputs);
  if (inputs.base && !method->needs().base) models.erase(models.begin());
  return models;
}

/// "a model.layers.3.mlp.weight, b model.layers.1.mlp.weight", with the folders' names.
std::string parts_text(const std::vector<TensorExplanation::Part>& parts) {
  std::vector<std::string> texts;
  for (const auto& [model, tensor] : parts)
    texts.push_back(std::filesystem::path(model).filename().string() + " " + tensor);
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// What an output tensor is made of, by the plan.
std::vector<TensorExplanation::Part> planned_parts(const MergeRequest& request,
                                                   const OutputTensor& tensor, bool with_base) {
  std::vector<TensorView> views = tensor.experts;
  if (tensor.base && with_base) views.insert(views.begin(), *tensor.base);
  std::vector<TensorExplanation::Part> parts;
  for (const TensorView& view : views) {
    const auto& model = view.model == TensorView::kBase ? request.inputs.base
                                                        : request.inputs.experts.at(view.model);
    parts.push_back({model->label(), view.tensor});
  }
  return parts;
}

std::vector<std::string> config_changes(const Json& before, const Json& after) {
  std::vector<std::string> changes;
  if (!before.is_object() || !after.is_object()) return changes;
  const auto text = [](const Json& config, const std::string& key) {
    return config.contains(key) ? config[key].dump() : std::string("nothing");
  };
  std::set<std::string> keys;
  for (const Json* config : {&before, &after})
    for (const auto& [key, unused] : config->items()) keys.insert(key);
  for (const std::string& key : keys)
    if (text(before, key) != text(after, key))
      changes.push_back(
          fmt::format("config.json: {} {} -> {}", key, text(before, key), text(after, key)));
  return changes;
}

/// Adds the tensors of one section.
void explain_section(const MergeSection& section, const MergeRequest& request,
                     const std::map<std::string, size_t>& group_of, Explanation& out) {
  std::map<std::string, const OutputTensor*> planned;
  if (request.plan)
    for (const OutputTensor& tensor : request.plan->tensors) planned[tensor.name] = &tensor;
  const MergeInputs& inputs = section.inputs;
  for (const TensorInfo& info : result_layout(inputs)) {
    const auto group = group_of.find(info.name);
    const bool merged = group != group_of.end();
    const Method* method = merged ? request.groups[group->second].method.get() : nullptr;
    if (request.plan && planned.at(info.name)->is_zero()) {
      out.values += info.numel();
      out.bytes_written += info.bytes();
      out.tensors.push_back({info.name, info.shape, {}, info.dtype, "zeros", {}});
      continue;
    }
    const std::vector<const TensorSource*> read = models_read(inputs, method);
    TensorExplanation tensor{info.name, info.shape, {}, info.dtype, {}, {}};
    if (merged) tensor.group = group->second;
    const bool averaged = merged && !method->info().own_moments && is_running_moment(info.name);
    const bool made = request.plan && planned.at(info.name)->made;
    tensor.role = made ? "made" : averaged ? "averaged" : merged ? "merged" : "copied";
    if (!made) tensor.role += changes(merged ? all_models(inputs) : read, info.name);
    for (const TensorSource* model : read) {
      const TensorInfo& input = *model->find(info.name);
      out.bytes_read += input.bytes();
      if (std::find(tensor.from.begin(), tensor.from.end(), input.dtype) == tensor.from.end())
        tensor.from.push_back(input.dtype);
    }
    if (request.plan && !made) {
      tensor.parts =
          planned_parts(request, *planned.at(info.name), read.front() == inputs.base.get());
      if (!merged) tensor.parts.resize(1);
    }
    out.values += info.numel();
    out.bytes_written += info.bytes();
    out.tensors.push_back(std::move(tensor));
  }
}

}  // namespace

Explanation explain(const MergeRequest& request, const std::filesystem::path& folder) {
  const std::vector<MergeSection> sections = request.sections();
  Explanation out;
  std::map<std::string, size_t> group_of;
  for (size_t i = 0; i < request.groups.size(); ++i) {
    const Method& method = *request.groups[i].method;
    out.methods.emplace_back(method.info().name);
    out.parameters.push_back(chosen_parameters(method));
    for (const std::string& name : request.groups[i].tensors) group_of[name] = i;
  }
  for (const MergeSection& section : sections) explain_section(section, request, group_of, out);

  const std::vector<const TensorSource*> models = all_models(request.inputs);
  std::map<std::string, std::string> left_out;
  for (const TensorSource* model : models)
    if (const auto* adjusted = dynamic_cast<const AdjustedSource*>(model))
      left_out.insert(adjusted->left_out().begin(), adjusted->left_out().end());
  for (const auto& [name, why] : left_out)
    out.tensors.push_back({name, {}, {}, std::nullopt, "left out, " + why, {}});
  std::sort(out.tensors.begin(), out.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });

  out.num_models = models.size();
  out.memory_bytes = std::max(request.inputs.memory_bytes, memory_need(sections));
  out.scratch_bytes = scratch_need(sections);
  out.disk_free_bytes = free_disk(folder);
  if (request.plan) out.config_changes = config_changes(request.like->config(), request.config);
  out.notes = request.notes;
  return out;
}

std::string explanation_text(const Explanation& explanation) {
  const auto [shared, own] = split_keys(explanation.parameters);
  const std::set<std::string> names(explanation.methods.begin(), explanation.methods.end());
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  if (!shared.empty()) text += ": " + parameters_text(explanation.parameters.front(), shared);

  std::vector<std::array<std::string, 7>> rows{{"tensor", "shape", "from", "to", "role", "", ""}};
  for (const TensorExplanation& tensor : explanation.tensors) {
    std::vector<std::string> from;
    for (const at::ScalarType dtype : tensor.from) from.push_back(dtype_name(dtype));
    rows.push_back({tensor.name, tensor.to ? shape_text(tensor.shape) : "",
                    fmt::format("{}", fmt::join(from, ", ")),
                    tensor.to ? dtype_name(*tensor.to) : "", tensor.role,
                    tensor.group ? parameters_text(explanation.parameters[*tensor.group], own) : "",
                    parts_text(tensor.parts)});
  }
  std::array<size_t, 7> widths{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  text += "\n\n";
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  text += fmt::format(
      "\n{} tensors, {} values. Reads {} of {} models and writes {}; {} of disk are free.\n",
      explanation.tensors.size(), explanation.values, bytes_text(explanation.bytes_read),
      explanation.num_models, bytes_text(explanation.bytes_written),
      bytes_text(explanation.disk_free_bytes));
  if (explanation.memory_bytes > 0)
    text += fmt::format("Memory: about {}, besides the program and its libraries.\n",
                        bytes_text(explanation.memory_bytes));
  if (explanation.scratch_bytes > 0)
    text += fmt::format("Scratch file: up to {} of disk while it runs; with more --memory, none.\n",
                        bytes_text(explanation.scratch_bytes));
  for (const std::string& change : explanation.config_changes) text += change + "\n";
  for (const std::string& note : explanation.notes) text += "Note: " + note + "\n";
  return text;
}

Json explanation_json(const Explanation& explanation) {
  Json tensors = Json::array(), groups = Json::array();
  for (size_t i = 0; i < explanation.methods.size(); ++i)
    groups.push_back(
        {{"method", explanation.methods[i]}, {"parameters", explanation.parameters[i]}});
  for (const TensorExplanation& tensor : explanation.tensors) {
    Json json = {{"name", tensor.name}, {"role", tensor.role}};
    if (tensor.to) {
      json["shape"] = tensor.shape;
      json["to"] = dtype_name(*tensor.to);
      json["from"] = Json::array();
      for (const at::ScalarType dtype : tensor.from) json["from"].push_back(dtype_name(dtype));
    }
    if (tensor.group) json["group"] = *tensor.group;
    for (const auto& [model, name] : tensor.parts)
      json["parts"].push_back({{"model", model}, {"tensor", name}});
    tensors.push_back(std::move(json));
  }
  return {{"groups", groups},
          {"tensors", tensors},
          {"models", explanation.num_models},
          {"values", explanation.values},
          {"bytes_read", explanation.bytes_read},
          {"bytes_written", explanation.bytes_written},
          {"memory_bytes", explanation.memory_bytes},
          {"scratch_bytes", explanation.scratch_bytes},
          {"disk_free_bytes", explanation.disk_free_bytes},
          {"config_changes", explanation.config_changes},
          {"notes", explanation.notes}};
}

}  // namespace assay
