#include <ATen/ATen.h>

#include <set>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/mergekit/resolve.h"
#include "harness/merge/request/requests.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

ModelPath find_named(const MergekitConfig& config, const MergekitModel& model,
                     const fs::path& folder, const ModelPath* base) {
  try {
    return find_model(model.model, folder, base);
  } catch (const UserError& error) {
    user_error("{}:{}: {}", config.where, model.line, error.what());
  }
}

int64_t configured_layers(const Json& config) {
  if (config.is_object())
    for (const char* key : {"num_hidden_layers", "n_layer", "num_layers"})
      if (config.contains(key) && config[key].is_number_unsigned())
        return config[key].get<int64_t>();
  return 0;
}

/// Where models differ in dtype, mergekit computes in one that holds what they all hold. Absent
/// where they agree.
std::optional<at::ScalarType> common_dtype(const MergekitConfig& config, const MergeInputs& inputs,
                                           const std::vector<std::string>& tensors) {
  std::vector<std::shared_ptr<const TensorSource>> models = inputs.experts;
  if (inputs.base) models.push_back(inputs.base);
  std::set<at::ScalarType> common;
  bool differ = false;
  for (const std::string& tensor : tensors) {
    at::ScalarType dtype = models.front()->find(tensor)->dtype;
    for (const auto& model : models) {
      const at::ScalarType other = model->find(tensor)->dtype;
      differ |= other != models.front()->find(tensor)->dtype;
      dtype = at::promote_types(dtype, other);
    }
    common.insert(dtype);
  }
  if (!differ) return std::nullopt;
  if (common.size() > 1)
    user_error("{}: the models' dtypes differ from tensor to tensor; name one with 'dtype'",
               config.where);
  return *common.begin();
}

}  // namespace

MergeRequest mergekit_request(const fs::path& path, const std::string& text,
                              const MergeChoices& choices) {
  const MergekitConfig config = parse_mergekit_yaml(text, path.filename().string());
  const MergekitModels models = mergekit_models(config);
  std::optional<ModelPath> base_path;
  if (config.base_model)
    base_path = find_named(config, *config.base_model, path.parent_path(), nullptr);
  std::vector<ModelPath> paths;
  for (const MergekitModel& expert : models.experts)
    paths.push_back(
        find_named(config, expert, path.parent_path(), base_path ? &*base_path : nullptr));
  if (models.base) paths.push_back(*base_path);
  std::vector<std::shared_ptr<const Checkpoint>> opened = open_models(paths);
  std::shared_ptr<const Checkpoint> base;
  if (models.base) {
    base = opened.back();
    opened.pop_back();
  }

  MergeRequest request;
  request.title = mergekit_method(config.method).preset;
  request.yaml = text;
  request.inputs.seed = choices.seed.value_or(0);
  const ReconcileOptions options{.vocabulary = choices.vocab_policy.value_or(VocabPolicy::kError),
                                 .extra = choices.extra_tensors.value_or(ExtraTensors::kError)};
  set_models(request, base, opened, base ? base : opened.at(models.like), options);
  request.notes.insert(request.notes.end(), config.notes.begin(), config.notes.end());
  request.configuration = {{"method", request.title},
                           {"mergekit", text},
                           {"seed", request.inputs.seed},
                           {"vocab_policy", vocab_policy_name(options.vocabulary)},
                           {"extra_tensors", extra_tensors_name(options.extra)}};
  note_paths(request, paths);
  if (!request.problems.empty()) return request;

  const std::vector<std::string> tensors = merged_names(request.inputs);
  MergeInputs& inputs = request.inputs;
  inputs.load_dtype = config.dtype ? dtype_from_name(*config.dtype, config.where)
                                   : common_dtype(config, inputs, tensors);
  inputs.dtype =
      config.out_dtype ? dtype_from_name(*config.out_dtype, config.where) : inputs.load_dtype;
  MergekitPlan plan =
      resolve_mergekit(config, models, tensors, configured_layers(request.like->config()));
  for (MergekitGroup& group : plan.groups)
    request.groups.push_back(
        {make_method(group.method, JsonReader(group.parameters,
                                              fmt::format("{}: parameters of '{}'", config.where,
                                                          group.tensors.front()))),
         std::move(group.tensors)});
  request.notes.insert(request.notes.end(), plan.notes.begin(), plan.notes.end());
  return request;
}

}  // namespace assay
