#include "harness/merge/request/requests.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "harness/checkpoint/model_config.h"
#include "harness/checkpoint/side_files.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"
#include "harness/merge/model_checks.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"
#include "harness/merge/request/slices.h"
#include "harness/merge/tokenizer_files.h"

namespace assay {

std::vector<std::shared_ptr<const Checkpoint>> open_models(const std::vector<ModelPath>& paths) {
  std::map<std::string, std::shared_ptr<const Checkpoint>> opened;
  std::vector<std::shared_ptr<const Checkpoint>> models;
  std::vector<std::string> problems;
  for (const ModelPath& path : paths) {
    try {
      auto& model = opened[path.text()];
      if (!model) model = Checkpoint::open(path);
      models.push_back(model);
    } catch (const DataError& error) {
      problems.emplace_back(error.what());
    }
  }
  refuse(problems);
  return models;
}

void note_paths(MergeRequest& request, const std::vector<ModelPath>& paths) {
  std::vector<std::string> notes;
  for (const ModelPath& path : paths) {
    request.read_from.push_back(path.path);
    if (!path.adapter.empty()) request.read_from.push_back(path.adapter);
    for (const std::string& found : path.notes)
      if (const std::string note = utf8_text(found);
          std::find(notes.begin(), notes.end(), note) == notes.end())
        notes.push_back(note);
    for (const auto& [name, folder] : path.cached)
      request.configuration["models"][utf8_text(name)] = utf8_text(folder);
  }
  request.notes.insert(request.notes.begin(), notes.begin(), notes.end());
}

void set_models(MergeRequest& request, const std::shared_ptr<const Checkpoint>& base,
                const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                const std::shared_ptr<const Checkpoint>& like, const ReconcileOptions& options,
                bool same_shapes) {
  std::vector<MergeModel> models;
  if (base) models.push_back({base, base->config()});
  for (const auto& expert : experts) models.push_back({expert, expert->config()});
  Reconciled reconciled = reconcile(models, options);

  request.like = like;
  request.config = like->config();
  if (reconciled.vocab_size) set_vocab_size(request.config, *reconciled.vocab_size);
  request.inputs.config = request.config;
  request.notes = std::move(reconciled.notes);
  SideFiles side = side_files(like->path());
  request.side_files = std::move(side.files);
  for (std::string& note : side.notes) request.notes.push_back(std::move(note));
  for (std::string& difference : config_differences(models))
    request.notes.push_back(std::move(difference));
  request.problems = std::move(reconciled.problems);
  if (!options.partial && same_shapes)
    for (const auto& expert : experts)
      if (have_different_tokenizers(*like, *expert))
        request.notes.push_back(fmt::format(
            "{} and {} have different tokenizers: a row of the one's embedding need not "
            "be for the token of the other's",
            like->label(), expert->label()));
  const size_t of_reconciling = request.problems.size();
  if (!options.partial) {
    const TensorSource& reference = *reconciled.sources.front();
    for (const auto& source : reconciled.sources)
      for (std::string& mismatch : model_mismatches(reference, *source))
        request.problems.push_back(std::move(mismatch));
  }

  const size_t first = base ? 1 : 0;
  if (base) request.inputs.base = reconciled.sources.front();
  request.inputs.experts.assign(reconciled.sources.begin() + static_cast<int64_t>(first),
                                reconciled.sources.end());
  if (same_shapes || !are_unequal(request.problems, base, experts)) return;
  MergeInputs unequal = unequal_inputs(base, experts);
  request.inputs.base = std::move(unequal.base);
  request.inputs.experts = std::move(unequal.experts);
  request.inputs.expert_configs = std::move(unequal.expert_configs);
  // What reconciling found ends in advice, which does not apply.
  const std::string what = request.problems.empty() ? "tokenizers"
                           : request.problems.size() > of_reconciling
                               ? fmt::format("tensors: {}", request.problems[of_reconciling])
                               : fmt::format("tensors: {}", request.problems.front());
  request.notes.push_back(fmt::format("{} keeps the models as they are, which differ in their {}",
                                      request.title, what));
  request.problems.clear();
}

void check_origins(const MergeRequest& request, const Needs& needs,
                   const std::vector<std::shared_ptr<const Checkpoint>>& models) {
  if (const auto reason = unmet_tokenizer_need(needs, models))
    data_error("{}: {}", request.title, *reason);
  if (const auto reason = unmet_initialization_need(needs, models))
    data_error("{}: {}", request.title, *reason);
}

void set_plan(MergeRequest& request, OutputPlan plan) {
  request.config = plan.config;
  request.plan = std::move(plan);
  for (const MergeSection& section : merge_sections({}, request.inputs, &*request.plan)) {
    const TensorSource& reference = reference_source(section.inputs);
    for (const auto& expert : section.inputs.experts)
      for (std::string& mismatch : model_mismatches(reference, *expert))
        request.problems.push_back(std::move(mismatch));
  }
}

void set_method(MergeRequest& request, const MethodConfiguration& method,
                const Evidence* structure) {
  request.groups = method.groups(merged_names(request.inputs), request.inputs.blocks);
  MethodGroup& group = request.groups.front();  // a method with a plan() has no tables
  MergeInputs models = request.inputs;
  models.evidence = structure;
  auto plan = plan_of(*group.method, models);
  if (!plan) return;
  const std::set<std::string> made = merged_by(*plan, request.inputs);
  group.tensors.assign(made.begin(), made.end());
  set_plan(request, std::move(*plan));
}

}  // namespace assay
