#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/mergekit/moe.h"
#include "harness/merge/mergekit/resolve.h"
#include "harness/merge/request/requests.h"
#include "harness/merge/request/slices.h"

namespace assay {
namespace {

/// Where models differ in dtype, mergekit computes in one that holds what they all hold. Absent
/// where they agree.
std::optional<at::ScalarType> common_dtype(const MergekitConfig& config,
                                           const std::vector<MergeSection>& sections) {
  std::set<at::ScalarType> common;
  bool differ = false;
  for (const auto& [inputs, unused] : sections) {
    std::vector<std::shared_ptr<const TensorSource>> models = inputs.experts;
    if (inputs.base) models.push_back(inputs.base);
    for (const std::string& tensor : merged_names(inputs)) {
      at::ScalarType dtype = models.front()->find(tensor)->dtype;
      for (const auto& model : models) {
        const at::ScalarType other = model->find(tensor)->dtype;
        differ |= other != models.front()->find(tensor)->dtype;
        dtype = at::promote_types(dtype, other);
      }
      common.insert(dtype);
    }
  }
  if (!differ) return std::nullopt;
  if (common.size() > 1)
    user_error("{}: the models' dtypes differ from tensor to tensor; name one with 'dtype'",
               config.where);
  return *common.begin();
}

struct NamedModels {
  const MergekitModel* base = nullptr;  ///< may be null
  std::vector<const MergekitModel*> experts;
  size_t like = 0;  ///< the expert that the result is like without a base
};

/// Opens and reconciles the models. Returns their configs.
SliceConfigs set_named_models(MergeRequest& request, const MergekitConfig& config,
                              const fs::path& folder, const NamedModels& named,
                              const ReconcileOptions& options) {
  // Adapters are of the configuration's base, whatever its role.
  std::optional<ModelPath> base_path;
  if (config.base_model) base_path = find_named(config.where, *config.base_model, folder, nullptr);
  std::vector<ModelPath> paths;
  for (const MergekitModel* expert : named.experts)
    paths.push_back(find_named(config.where, *expert, folder, base_path ? &*base_path : nullptr));
  if (named.base) paths.push_back(*base_path);
  std::vector<std::shared_ptr<const Checkpoint>> experts = open_models(paths);
  std::shared_ptr<const Checkpoint> base;
  if (named.base) {
    base = experts.back();
    experts.pop_back();
  }
  set_models(request, base, experts, base ? base : experts.at(named.like), options);
  note_paths(request, paths);
  return slice_configs(base, experts);
}

void set_dtypes(MergeRequest& request, const MergekitConfig& config) {
  MergeInputs& inputs = request.inputs;
  inputs.load_dtype = config.dtype ? dtype_from_name(*config.dtype, config.where)
                                   : common_dtype(config, request.sections());
  inputs.dtype =
      config.out_dtype ? dtype_from_name(*config.out_dtype, config.where) : inputs.load_dtype;
}

void set_groups(MergeRequest& request, const MergekitConfig& config,
                std::vector<MergekitGroup> groups) {
  for (MergekitGroup& group : groups) {
    const std::string where =
        fmt::format("{}: parameters of '{}'", config.where, group.tensors.front());
    std::sort(group.tensors.begin(), group.tensors.end());
    request.groups.push_back(
        {make_method(group.method, JsonReader(group.parameters, where)), std::move(group.tensors)});
  }
}

void set_whole_models(MergeRequest& request, const MergekitConfig& config, const fs::path& folder,
                      const ReconcileOptions& options) {
  const MergekitModels models = mergekit_models(config);
  NamedModels named{models.base ? &*models.base : nullptr, {}, models.like};
  for (const MergekitModel& expert : models.experts) named.experts.push_back(&expert);
  set_named_models(request, config, folder, named, options);
  if (!request.problems.empty()) return;
  set_dtypes(request, config);
  MergekitPlan plan = resolve_mergekit(config, models, merged_names(request.inputs),
                                       layer_count(request.like->config()).value_or(0));
  set_groups(request, config, std::move(plan.groups));
  request.notes.insert(request.notes.end(), plan.notes.begin(), plan.notes.end());
}

/// The models that slices name, each once. The configuration's base_model is the base where the
/// method takes task vectors from it, else one of the experts.
class SliceModels {
 public:
  explicit SliceModels(const MergekitConfig& config) : config_(config) {
    const bool task_vectors =
        mergekit_method(config.method).takes_task_vectors(config.base_model.has_value());
    if (config.base_model && task_vectors) named_.base = &*config.base_model;
    if (config.base_model && !task_vectors) {
      named_.experts.push_back(&*config.base_model);
      places_[config.base_model->model] = 0;
    }
    for (const MergekitSlice& slice : config.slices)
      for (const MergekitModel& source : slice.sources)
        if (!is_base(source) && places_.emplace(source.model, named_.experts.size()).second)
          named_.experts.push_back(&source);
  }
  const NamedModels& named() const { return named_; }
  LayerRange range(const MergekitModel& source) const {
    return {is_base(source) ? TensorView::kBase : places_.at(source.model), source.layers.first,
            source.layers.last, fmt::format("{}:{}", config_.where, source.line)};
  }

 private:
  bool is_base(const MergekitModel& source) const {
    return named_.base && source.model == named_.base->model;
  }

  const MergekitConfig& config_;
  NamedModels named_{};
  std::map<std::string, size_t> places_;
};

void set_slices(MergeRequest& request, const MergekitConfig& config, const fs::path& folder,
                ReconcileOptions options) {
  std::vector<MergekitModels> roles;
  for (const MergekitSlice& slice : config.slices) roles.push_back(mergekit_models(config, &slice));
  const SliceModels models(config);
  std::vector<Slice> slices;
  for (const MergekitModels& role : roles) {
    Slice& slice = slices.emplace_back();
    if (role.base) slice.base = models.range(*role.base);
    for (const MergekitModel& expert : role.experts) slice.experts.push_back(models.range(expert));
  }
  options.partial = true;
  const SliceConfigs configs = set_named_models(request, config, folder, models.named(), options);
  if (!request.problems.empty()) return;
  SlicedPlan sliced = plan_slices(slices, request.inputs, configs);

  MergekitGroups groups{std::string(mergekit_method(config.method).preset)};
  std::vector<std::string> names;
  const std::set<std::string> merged = merged_by(sliced.plan, request.inputs);
  for (size_t i = 0; i < sliced.places.size(); ++i) {
    const OutputTensor& tensor = sliced.plan.tensors[i];
    if (!merged.contains(tensor.name)) continue;
    const auto& [slice, depth] = sliced.places[i];
    MergekitScope scope{.tensor = tensor.name,
                        .inputs = {},
                        .depth = depth,
                        .settings = {&config.slices[slice].parameters, &config.parameters}};
    for (const TensorView& view : tensor.experts) scope.inputs.push_back(view.tensor);
    groups.add(tensor.name, mergekit_parameters(config, roles[slice].experts, scope));
    names.push_back(tensor.name);
  }
  set_plan(request, std::move(sliced.plan));
  if (!request.problems.empty()) return;
  set_dtypes(request, config);
  set_groups(request, config, groups.take());
  note_settings(config, config.parameters, names, request.notes);
  for (const MergekitSlice& slice : config.slices)
    note_settings(config, slice.parameters, names, request.notes);
}

}  // namespace

ModelPath find_named(const std::string& where, const MergekitModel& model, const fs::path& folder,
                     const ModelPath* base) {
  try {
    return find_model(model.model, folder, base);
  } catch (const UserError& error) {
    user_error("{}:{}: {}", where, model.line, error.what());
  }
}

MergeRequest mergekit_request(const fs::path& path, const std::string& text,
                              const MergeChoices& choices) {
  const std::string where = path.filename().string();
  if (is_mergekit_moe(text, where))
    return mergekit_moe_request(parse_mergekit_moe(text, where), text, path.parent_path(), choices);
  const MergekitConfig config = parse_mergekit_yaml(text, where);
  MergeRequest request;
  request.title = mergekit_method(config.method).preset;
  request.yaml = text;
  request.inputs.seed = choices.seed.value_or(0);
  const ReconcileOptions options{.vocabulary = choices.vocab_policy.value_or(VocabPolicy::kError),
                                 .extra = choices.extra_tensors.value_or(ExtraTensors::kError)};
  request.configuration = {{"method", request.title},
                           {"mergekit", text},
                           {"seed", request.inputs.seed},
                           {"vocab_policy", vocab_policy_name(options.vocabulary)},
                           {"extra_tensors", extra_tensors_name(options.extra)}};
  if (config.slices.empty())
    set_whole_models(request, config, path.parent_path(), options);
  else
    set_slices(request, config, path.parent_path(), options);
  request.notes.insert(request.notes.end(), config.notes.begin(), config.notes.end());
  return request;
}

}  // namespace assay
