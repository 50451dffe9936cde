#include "harness/sweep/describe.h"

#include <cmath>

namespace assay {

CheckpointRecord checkpoint_record(const SweepModel& model) {
  return {model.checkpoint->content_hash(), model.name, model.checkpoint->label(), model.role,
          model.checkpoint->origin()};
}

TaskRecord task_record(const Task& task) {
  return {task.name(), task.hash(), task.definition(), task.size(Split::kValidation),
          task.size(Split::kTest)};
}

MethodRecord method_record(const std::string& name) {
  const MethodEntry& entry = methods().at(name, "a sweep");
  Json parameters = Json::array();
  for (const ParamDoc& parameter : entry.parameters())
    parameters.push_back(parameter_to_json(parameter));
  return {name,
          entry.info.version,
          std::string(entry.info.paper),
          std::string(entry.info.summary),
          needs_to_json(entry.info),
          std::move(parameters)};
}

Json needs_to_json(const MethodInfo& info) {
  const Needs& needs = info.needs;
  return {{"base", needs.base},
          {"min_experts", needs.min_experts},
          {"max_experts",
           needs.max_experts == Needs::kAnyNumber ? Json(nullptr) : Json(needs.max_experts)},
          {"calibration_inputs", needs.calibration_inputs},
          {"calibration_labels", needs.calibration_labels},
          {"gradients", needs.gradients},
          {"architecture", needs.architecture},
          {"same_shapes", needs.same_shapes},
          {"same_initialization", needs.same_initialization},
          {"tokenizer", needs.tokenizer},
          {"output", output_name(needs.output)},
          {"randomized", info.randomized}};
}

Json parameter_to_json(const ParamDoc& parameter) {
  Json json = {{"name", parameter.name},
               {"type", parameter.type},
               {"default", parameter.default_value},
               {"help", parameter.help}};
  const auto bound = [](double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  if (parameter.type == "number" || parameter.type == "integer" ||
      parameter.type == "list of numbers")
    json["range"] = {bound(parameter.range.low), bound(parameter.range.high)};
  if (!parameter.choices.empty()) json["choices"] = parameter.choices;
  if (!parameter.sweep.empty()) json["sweep"] = parameter.sweep;
  for (const ParamDoc& inner : parameter.children)
    json["parameters"].push_back(parameter_to_json(inner));
  return json;
}

}  // namespace assay
