#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/mergekit/moe.h"
#include "harness/merge/request/requests.h"

namespace assay {
namespace {

/// mergekit-moe writes all tensors in the dtype that the base's config names, where the
/// configuration names none.
std::optional<at::ScalarType> dtype_of(const MergekitMoe& config, const Json& base) {
  if (config.dtype) return dtype_from_name(*config.dtype, config.where);
  for (const char* key : {"dtype", "torch_dtype"})
    if (base.is_object() && base.contains(key) && base[key].is_string())
      return dtype_from_name(base[key].get<std::string>(), "config.json of the base");
  return std::nullopt;
}

std::string type_of(const Checkpoint& model) {
  return model.config().is_object() ? model.config().value("model_type", "") : std::string();
}

}  // namespace

MergeRequest mergekit_moe_request(const MergekitMoe& config, const std::string& text,
                                  const fs::path& folder, const MergeChoices& choices) {
  MergeRequest request;
  request.title = "moe";
  request.yaml = text;
  request.inputs.seed = choices.seed.value_or(0);
  std::vector<MergekitExpert> named = config.experts;
  if (config.shared_expert) named.push_back(*config.shared_expert);

  const ModelPath base_path = find_named(config.where, config.base_model, folder, nullptr);
  std::vector<ModelPath> paths;
  for (const MergekitExpert& expert : named)
    paths.push_back(find_named(config.where, expert.model, folder, &base_path));
  paths.push_back(base_path);
  std::vector<std::shared_ptr<const Checkpoint>> experts = open_models(paths);
  const std::shared_ptr<const Checkpoint> base = experts.back();
  experts.pop_back();
  for (size_t i = 0; i < named.size(); ++i) {
    if (type_of(*experts[i]) != type_of(*base))
      user_error("{}:{}: the expert '{}' is of the type '{}', and the base of '{}'", config.where,
                 named[i].model.line, named[i].model.model, type_of(*experts[i]), type_of(*base));
    request.experts.emplace_back(named[i].model.model, experts[i]);
    request.prompts.push_back(named[i].prompts);
  }

  const Json parameters = mergekit_moe_parameters(config, type_of(*base));
  const auto method =
      MethodConfiguration::read(request.title, JsonReader(parameters, config.where));
  ReconcileOptions options{.vocabulary = choices.vocab_policy.value_or(VocabPolicy::kError),
                           .extra = choices.extra_tensors.value_or(ExtraTensors::kError)};
  options.partial = true;  // of the experts, the feed-forwards alone are read
  request.configuration = {{"method", request.title},
                           {"version", method.info().version},
                           {"parameters", method.parameters()},
                           {"mergekit", text},
                           {"seed", request.inputs.seed},
                           {"vocab_policy", vocab_policy_name(options.vocabulary)},
                           {"extra_tensors", extra_tensors_name(options.extra)}};
  set_models(request, base, experts, base, options);
  note_paths(request, paths);
  if (!request.problems.empty()) return request;
  request.inputs.dtype = dtype_of(config, base->config());
  request.needs_data = method.needs().calibration_inputs;
  set_method(request, method, nullptr);
  return request;
}

}  // namespace assay
