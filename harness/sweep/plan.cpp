#include "harness/sweep/plan.h"

#include <set>

#include "harness/core/error.h"
#include "harness/core/metrics.h"
#include "harness/merge/merge.h"
#include "harness/sweep/internal/expert_lists.h"
#include "harness/sweep/search/search.h"

namespace assay {
namespace {

// Validation scores are for choosing, and only held-in tasks may choose.
std::vector<TaskRef> scored_tasks(const ResolvedSweep& sweep, const ExpertSet& set, Split split) {
  std::vector<TaskRef> out;
  for (const auto& task : sweep.tasks)
    if (split == Split::kTest ? sweep.is_scored(set, *task) : sweep.owner(set, *task).has_value())
      out.push_back({task->name(), task->hash(), std::nullopt, task->changes()});
  return out;
}

// Each held-in task is scored with the task model of its own expert.
void set_owners(const ResolvedSweep& sweep, const ExpertSet& set, std::vector<TaskRef>& tasks) {
  for (TaskRef& ref : tasks)
    for (const auto& task : sweep.tasks)
      if (task->name() == ref.name) ref.owner = sweep.owner(set, *task);
}

Cell model_cell(const ResolvedSweep& sweep, const ExpertSet& set, CellKind kind,
                RunKind record_kind, const std::vector<std::string>& models, Split split) {
  Cell cell;
  cell.kind = kind;
  cell.record_kind = record_kind;
  for (const std::string& model : models) cell.experts.push_back(sweep.models.at(model).ref);
  cell.tasks = scored_tasks(sweep, set, split);
  cell.split = split;
  cell.devices = sweep.devices;
  return cell;
}

bool has_mixed_metrics(const ResolvedSweep& sweep, const ExpertSet& set) {
  std::set<std::string> kinds;
  for (const auto& task : sweep.tasks)
    if (sweep.owner(set, *task)) kinds.emplace(metric_kind(task->primary_metric()));
  return kinds.size() > 1;
}

Cell expert_cell(const ResolvedSweep& sweep, const ExpertSet& set, const std::string& expert,
                 Split split) {
  return model_cell(sweep, set, CellKind::kModel, RunKind::kExpert, {expert}, split);
}

// What merits are relative to where metrics are mixed: see Choice. These runs are the candidates of
// the best expert.
std::map<std::string, std::string> own_expert_keys(const ResolvedSweep& sweep,
                                                   const ExpertSet& set) {
  std::map<std::string, std::string> keys;
  if (!has_mixed_metrics(sweep, set)) return keys;
  for (const auto& task : sweep.tasks)
    if (const auto owner = sweep.owner(set, *task))
      keys[task->name()] = expert_cell(sweep, set, set.experts[*owner], Split::kValidation).key();
  return keys;
}

// What has one candidate is chosen without validation scores.
void add_choice(Choice choice, Plan& plan) {
  if (choice.budget == 1)
    plan.fixed.push_back(
        {choice.cell(choice.search()->ask().front(), Split::kTest), choice.placement, {}});
  else
    plan.choices.push_back(std::move(choice));
}

// Its candidates are names of experts.
Choice best_expert(const ResolvedSweep& sweep, const ExpertSet& set) {
  return {{set.name, "best expert", "reference"},
          static_cast<int64_t>(set.experts.size()),
          [&set] {
            return list_search({set.experts.begin(), set.experts.end()});
          },
          [&sweep, &set](const Json& expert, Split split) {
            return expert_cell(sweep, set, expert, split);
          },
          nullptr,
          0,
          own_expert_keys(sweep, set)};
}

EnsembleRule rule_of(Reference reference) {
  switch (reference) {
    case Reference::kLogitEnsemble:
      return EnsembleRule::kLogits;
    case Reference::kProbabilityEnsemble:
      return EnsembleRule::kProbabilities;
    case Reference::kMajorityVote:
      return EnsembleRule::kVotes;
    default:
      return EnsembleRule::kUsual;
  }
}

PlannedCell ensemble(const ResolvedSweep& sweep, const ExpertSet& set, Reference reference) {
  Cell cell =
      model_cell(sweep, set, CellKind::kEnsemble, RunKind::kEnsemble, set.experts, Split::kTest);
  if (const EnsembleRule rule = rule_of(reference); rule != EnsembleRule::kUsual)
    cell.parameters["rule"] = ensemble_rule_name(rule);
  return {std::move(cell), {set.name, reference_name(reference), "reference"}, {}};
}

// Every task with the expert that was trained on it; held-out tasks with the base.
PlannedCell oracle_expert(const ResolvedSweep& sweep, const ExpertSet& set) {
  Cell cell =
      model_cell(sweep, set, CellKind::kOwnExpert, RunKind::kOracle, set.experts, Split::kTest);
  set_owners(sweep, set, cell.tasks);
  if (set.base) cell.base = sweep.models.at(*set.base).ref;
  PlannedCell planned{
      std::move(cell), {set.name, reference_name(Reference::kOracleExpert), "reference"}, {}};
  for (const TaskRef& task : planned.cell.tasks)
    if (!set.base && !task.owner)
      planned.unmet = fmt::format(
          "no expert was trained on '{}', and there is no base to score it with: add \"base\"",
          task.name);
  return planned;
}

void plan_references(const ResolvedSweep& sweep, const ExpertSet& set, Plan& plan) {
  const auto add = [&](const std::string& row, CellKind kind, RunKind record_kind,
                       const std::vector<std::string>& models) {
    plan.fixed.push_back({model_cell(sweep, set, kind, record_kind, models, Split::kTest),
                          {set.name, row, "reference"},
                          {}});
  };
  if (set.base) add("base", CellKind::kModel, RunKind::kBase, {*set.base});
  for (const std::string& expert : set.experts)
    add(expert, CellKind::kModel, RunKind::kExpert, {expert});
  Choice best = best_expert(sweep, set);
  const auto obstacle = obstacle_to_choosing(sweep, set);
  if (obstacle && best.budget > 1)
    plan.fixed.push_back(
        {best.cell(set.experts.front(), Split::kValidation), best.placement, obstacle});
  else if (!obstacle && !best.relative_to.empty())
    plan.choices.push_back(std::move(best));  // even of one expert: merits are relative to its run
  else
    add_choice(std::move(best), plan);
  if (set.multitask) add("multitask", CellKind::kModel, RunKind::kMultitask, {*set.multitask});
  for (const Reference reference : sweep.file.references)
    plan.fixed.push_back(reference == Reference::kOracleExpert ? oracle_expert(sweep, set)
                                                               : ensemble(sweep, set, reference));
}

Cell merge_cell(const ResolvedSweep& sweep, const ExpertSet& set, const MethodSpec& method,
                const Json& parameters, uint64_t seed, Split split) {
  Cell cell = model_cell(sweep, set, CellKind::kMerge, RunKind::kMerge, set.experts, split);
  const auto made = MethodConfiguration::read(method.method, JsonReader(parameters, method.where));
  cell.method = method.method;
  cell.parameters = made.parameters();
  cell.seed = made.randomized() ? seed : 0;
  if (made.needs().base && set.base) cell.base = sweep.models.at(*set.base).ref;
  if (looks_at_data(made.needs())) cell.calibration = sweep.calibration(set, method.calibration);
  if (made.info().needs.output == Output::kModelPerTask) set_owners(sweep, set, cell.tasks);
  return cell;
}

// What the row tunes, with one seed for all its cells.
Choice tuning(const ResolvedSweep& sweep, const ExpertSet& set, const MethodSpec& method,
              uint64_t seed) {
  return {{set.name, method.label, "tuned"},
          method.evaluations(set.experts.size()),
          [&set, &method, held_in = sweep.held_in(set).size()] {
            return method.search
                       ? make_search(
                             *method.search, method.parameters,
                             flat_parameters(
                                 MethodConfiguration::read(
                                     method.method, JsonReader(method.parameters, method.where))
                                     .parameters()),
                             {set.experts.size(), held_in})
                       : list_search(method.grid_points());
          },
          [&sweep, &set, &method, seed](const Json& candidate, Split split) {
            const Json parameters = with_paths(method.method, candidate, method.where);
            return merge_cell(sweep, set, method, parameters, seed, split);
          },
          method.search ? &*method.search : nullptr,
          seed,
          own_expert_keys(sweep, set)};
}

void plan_method(const ResolvedSweep& sweep, const ExpertSet& set, const MethodSpec& method,
                 Plan& plan) {
  const auto made =
      MethodConfiguration::read(method.method, JsonReader(method.parameters, method.where));
  auto unmet = sweep.unmet_need(set, made.needs(), method.calibration);
  if (!unmet) unmet = unfit_lists(method, set.experts.size());
  for (const uint64_t seed : sweep.file.seeds) {
    // The defaults of a method with a search of its own are a place to start from.
    if (!method.searched_by_default || unmet)
      plan.fixed.push_back({merge_cell(sweep, set, method, method.parameters, seed, Split::kTest),
                            {set.name, method.label, "default"},
                            unmet});
    // One skipped row says all there is to say; its grid would repeat it.
    if (method.evaluations(set.experts.size()) > 0 && !unmet)
      add_choice(tuning(sweep, set, method, made.randomized() ? seed : 0), plan);
    if (!made.randomized()) break;  // the other seeds would give the same bytes
  }
}

}  // namespace

std::optional<std::string> obstacle_to_choosing(const ResolvedSweep& sweep, const ExpertSet& set) {
  for (const auto& task : sweep.tasks) {
    if (!sweep.owner(set, *task)) continue;
    try {
      task->check_split(Split::kValidation);
    } catch (const UserError& e) {
      return e.what();
    } catch (const DataError& e) {
      return e.what();
    }
  }
  return std::nullopt;
}

Plan plan_sweep(const ResolvedSweep& sweep) {
  Plan plan;
  for (const ExpertSet& set : sweep.file.sets) {
    plan_references(sweep, set, plan);
    for (const MethodSpec& method : sweep.file.methods) plan_method(sweep, set, method, plan);
  }
  return plan;
}

}  // namespace assay
