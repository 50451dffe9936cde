#include "harness/sweep/plan.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/metrics.h"
#include "harness/merge/merge.h"
#include "harness/method/method.h"
#include "harness/sweep/internal/expert_lists.h"

namespace assay {
namespace {

// Validation scores are for choosing, and only held-in tasks may choose; test scores cover all
// tasks.
std::vector<TaskRef> scored_tasks(const ResolvedSweep& sweep, const ExpertSet& set, Split split) {
  const std::vector<std::string> held_in = sweep.held_in(set);
  std::vector<TaskRef> out;
  for (const auto& task : sweep.tasks)
    if (split == Split::kTest ||
        std::find(held_in.begin(), held_in.end(), task->name()) != held_in.end())
      out.push_back({task->name(), task->hash()});
  return out;
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

// What has one candidate is chosen without validation scores.
void add_choice(Choice choice, Plan& plan) {
  if (choice.candidates.size() == 1)
    plan.fixed.push_back({choice.test_cells.front(), choice.placement, {}});
  else
    plan.choices.push_back(std::move(choice));
}

void plan_references(const ResolvedSweep& sweep, const ExpertSet& set, Plan& plan) {
  const auto add = [&](const std::string& row, CellKind kind, RunKind record_kind,
                       const std::vector<std::string>& models) {
    plan.fixed.push_back({model_cell(sweep, set, kind, record_kind, models, Split::kTest),
                          {set.name, row, "reference"},
                          {}});
  };
  if (set.base) add("base", CellKind::kModel, RunKind::kBase, {*set.base});
  Choice best{{set.name, "best expert", "reference"}, {}, {}};
  for (const std::string& expert : set.experts) {
    add(expert, CellKind::kModel, RunKind::kExpert, {expert});
    best.candidates.push_back(
        model_cell(sweep, set, CellKind::kModel, RunKind::kExpert, {expert}, Split::kValidation));
    best.test_cells.push_back(plan.fixed.back().cell);
  }
  const auto obstacle = obstacle_to_choosing(sweep, set);
  if (obstacle && best.candidates.size() > 1)
    plan.fixed.push_back({best.candidates.front(), best.placement, obstacle});
  else
    add_choice(std::move(best), plan);
  if (set.multitask) add("multitask", CellKind::kModel, RunKind::kMultitask, {*set.multitask});
  add("ensemble", CellKind::kEnsemble, RunKind::kEnsemble, set.experts);
}

Cell merge_cell(const ResolvedSweep& sweep, const ExpertSet& set, const MethodSpec& method,
                const Json& parameters, uint64_t seed, Split split) {
  Cell cell = model_cell(sweep, set, CellKind::kMerge, RunKind::kMerge, set.experts, split);
  const auto made = make_method(method.method, JsonReader(parameters, method.where));
  cell.method = method.method;
  cell.parameters = made->parameters();
  cell.seed = made->info().randomized ? seed : 0;
  if (made->needs().base && set.base) cell.base = sweep.models.at(*set.base).ref;
  return cell;
}

void plan_method(const ResolvedSweep& sweep, const ExpertSet& set, const MethodSpec& method,
                 Plan& plan) {
  const auto made = make_method(method.method, JsonReader(method.parameters, method.where));
  const MethodInfo& info = made->info();
  auto unmet = sweep.unmet_need(set, made->needs());
  if (!unmet) unmet = unfit_lists(method, set.experts.size());
  for (const uint64_t seed : sweep.file.seeds) {
    plan.fixed.push_back({merge_cell(sweep, set, method, method.parameters, seed, Split::kTest),
                          {set.name, method.label, "default"},
                          unmet});
    // One skipped row says all there is to say; its grid would repeat it.
    if (!method.grid.empty() && !unmet) {
      Choice choice{{set.name, method.label, "tuned"}, {}, {}};
      for (const Json& point : method.grid_points()) {
        choice.candidates.push_back(
            merge_cell(sweep, set, method, point, seed, Split::kValidation));
        choice.test_cells.push_back(merge_cell(sweep, set, method, point, seed, Split::kTest));
      }
      add_choice(std::move(choice), plan);
    }
    if (!info.randomized) break;  // the other seeds would give the same bytes
  }
}

}  // namespace

std::optional<std::string> obstacle_to_choosing(const ResolvedSweep& sweep, const ExpertSet& set) {
  const std::vector<std::string> held_in = sweep.held_in(set);
  std::set<std::string> units;
  std::string scores;
  for (const auto& task : sweep.tasks) {
    if (std::find(held_in.begin(), held_in.end(), task->name()) == held_in.end()) continue;
    try {
      task->check_split(Split::kValidation);
    } catch (const UserError& e) {
      return e.what();
    } catch (const DataError& e) {
      return e.what();
    }
    const std::string metric = task->primary_metric();
    units.insert(is_fraction(metric) ? "a fraction" : metric);
    scores += fmt::format("{}{} by {}", scores.empty() ? "" : ", ", task->name(), metric);
  }
  if (units.size() < 2) return std::nullopt;
  return "the mean of scores of different kinds says nothing: " + scores;
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
