#include <ATen/ATen.h>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/core/error.h"
#include "harness/merge/merge.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"

namespace assay {

std::string experts_text(int64_t count) {
  return fmt::format("{} expert{}", count, count == 1 ? "" : "s");
}

TensorRole tensor_role(const TensorSource& source, const TensorInfo& info) {
  const auto* adjusted = dynamic_cast<const AdjustedSource*>(&source);
  if (is_buffer(info) || (adjusted && adjusted->is_copied(info.name))) return TensorRole::kCopied;
  switch (info.dtype) {
    case at::kFloat:
    case at::kDouble:
    case at::kHalf:
    case at::kBFloat16:
      return TensorRole::kMerged;
    default:
      break;
  }
  if (c10::isIntegralType(info.dtype, /*includeBool=*/true)) return TensorRole::kCopied;
  data_error(
      "{}: tensor '{}' has dtype {}; float64, float32, "
      "float16, bfloat16 can be merged and integers copied",
      source.label(), info.name, dtype_name(info.dtype));
}

std::vector<std::string> merged_names(const MergeInputs& inputs) {
  const TensorSource& reference = reference_source(inputs);
  std::vector<std::string> names;
  for (const TensorInfo& info : reference.tensors())
    if (tensor_role(reference, info) == TensorRole::kMerged) names.push_back(info.name);
  return names;
}

const TensorSource& reference_source(const MergeInputs& inputs) {
  return inputs.base ? *inputs.base : *inputs.experts.front();
}

std::optional<std::string> unmet_need(const Needs& needs, const Offered& offered) {
  const auto count = static_cast<int64_t>(offered.experts);
  if (needs.base && !offered.base) return "needs the base checkpoint, and none is given";
  if (count < needs.min_experts || count > needs.max_experts)
    return fmt::format(
        "needs {} {}, and {} given",
        needs.min_experts == needs.max_experts ? "exactly"
        : count < needs.min_experts            ? "at least"
                                               : "at most",
        experts_text(count < needs.min_experts ? needs.min_experts : needs.max_experts),
        count == 1 ? "1 is" : fmt::format("{} are", count));
  if (needs.calibration_inputs && !offered.calibration_inputs)
    return "needs calibration data, and none is given";
  if (needs.calibration_labels && !offered.calibration_labels)
    return "needs calibration data with labels, and none is given";
  if (needs.gradients && !offered.gradients)
    return "needs gradients, and the models' architecture is not known";
  if (needs.architecture && !offered.architecture)
    return "needs to know the models' layers, and their config.json names no architecture that "
           "Assay knows";
  return std::nullopt;
}

void check_compatible(const MergeInputs& inputs) {
  if (inputs.experts.empty()) user_error("a merge needs at least one expert");
  if (inputs.dtype && !c10::isFloatingType(*inputs.dtype))
    user_error("a merge cannot be written as {}: allowed are floating dtypes",
               dtype_name(*inputs.dtype));
  refuse(tensor_mismatches(inputs));
}

std::vector<std::string> tensor_mismatches(const MergeInputs& inputs) {
  const TensorSource& reference = reference_source(inputs);
  std::vector<std::string> problems = model_mismatches(reference, reference);
  for (const auto& expert : inputs.experts)
    if (expert.get() != &reference)
      for (std::string& problem : model_mismatches(reference, *expert))
        problems.push_back(std::move(problem));
  return problems;
}

}  // namespace assay
