/// Small invented results for tests of the store and the reports, with numbers that can be checked
/// by hand. Nothing here was measured.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/store.h"

namespace fake {

/// Outcomes by task, as many as the task has items: {{"a", {1, 1, 0, 0}}}.
using Outcomes = std::map<std::string, std::vector<double>>;

/// A successful test run of the metric "acc", whose values are the means of the outcomes.
inline assay::RunRecord run(const std::string& key, const std::string& kind,
                            const std::vector<std::string>& experts, const Outcomes& outcomes) {
  assay::RunRecord record;
  record.key = key;
  record.kind = assay::run_kind_from_name(kind);
  record.split = "test";
  record.experts = experts;
  if (kind == "merge") {
    record.method = "average";
    record.method_version = 1;
  }
  for (const auto& [task, items] : outcomes) {
    double sum = 0;
    for (const float item : items) sum += item;
    record.scores.push_back(
        {task, "test", "acc", true, sum / static_cast<double>(items.size()), items});
  }
  return record;
}

inline assay::Cost cost(double wall_s) {
  assay::Cost cost;
  cost.wall_s = wall_s;
  cost.flops = 1000;
  return cost;
}

/// One set "s" of the experts e1 (trained on task a) and e2 (on task b); task c is held out. Four
/// test items each. Fractions of correct items:
///             a        b        c
///   base      1/4      1/4      2/4
///   e1        4/4      0/4      2/4
///   e2        0/4      4/4      2/4
///   average   2/4      3/4      3/4
inline assay::SweepResults results() {
  assay::SweepResults r;
  r.sweep = {"tiny", {{"name", "tiny"}}, "sweephash", {}};
  r.sweep.sets = {{"s", {"h1", "h2"}, {{"a", true, "h1"}, {"b", true, "h2"}, {"c", false, ""}}}};
  r.sweep.found = {{"sweep file", "tiny.json", "/sweeps/tiny.json"}};
  r.started_at = "2026-01-02T03:04:05.000Z";
  r.finished_at = "2026-01-02T03:05:06.000Z";
  r.checkpoints = {{"h0", "base", "/m/base", "base", nullptr},
                   {"h1", "e1", "/m/e1", "expert", {{"trained_on", {"a"}}}},
                   {"h2", "e2", "/m/e2", "expert", nullptr}};
  for (const char* name : {"a", "b", "c"})
    r.tasks.push_back({name, std::string("task-hash-") + name, {{"kind", "test"}}, 4, 4});
  r.methods = {{"average",
                1,
                "arXiv:2203.05482",
                "uniform mean",
                {{"base", false},
                 {"min_experts", 1},
                 {"max_experts", nullptr},
                 {"output", "same architecture"}},
                {{{"name", "scale"}, {"default", 1.0}}}}};
  r.environments = {{"abc123", "GCC 12", "2.11.0", "cpu", "a processor", "Linux", "assay run", 2}};

  r.runs.push_back({{"s", "base", "reference"},
                    run("k-base", "base", {"h0"},
                        {{"a", {1, 0, 0, 0}}, {"b", {1, 0, 0, 0}}, {"c", {1, 1, 0, 0}}}),
                    0});
  r.runs.push_back({{"s", "expert e1", "reference"},
                    run("k-e1", "expert", {"h1"},
                        {{"a", {1, 1, 1, 1}}, {"b", {0, 0, 0, 0}}, {"c", {1, 1, 0, 0}}}),
                    0});
  r.runs.push_back({{"s", "expert e2", "reference"},
                    run("k-e2", "expert", {"h2"},
                        {{"a", {0, 0, 0, 0}}, {"b", {1, 1, 1, 1}}, {"c", {1, 1, 0, 0}}}),
                    0});
  auto average = run("k-average", "merge", {"h1", "h2"},
                     {{"a", {1, 1, 0, 0}}, {"b", {1, 1, 1, 0}}, {"c", {1, 1, 1, 0}}});
  average.base = "h0";
  average.parameters = {{"scale", 1.0}};
  average.costs = {{"statistics", cost(0.5)}, {"merge", cost(1.5)}, {"evaluation", cost(3)}};
  r.runs.push_back({{"s", "average", "default"}, average, 0});
  return r;
}

/// Another row next to those of results(): the average with another key and placement.
inline assay::SweepResults::PlacedRun& add_average(assay::SweepResults& r, const std::string& key,
                                                   const assay::Placement& placement) {
  assay::SweepResults::PlacedRun placed = r.runs.at(3);
  placed.placement = placement;
  placed.run.key = key;
  r.runs.push_back(placed);
  return r.runs.back();
}

/// Adds a row of a method that makes a model per task, better than all others.
inline void add_model_per_task(assay::SweepResults& r) {
  assay::MethodRecord method = r.methods.front();
  method.name = "masks";
  method.needs["output"] = "a model per task";
  r.methods.push_back(method);
  auto& placed = add_average(r, "k-masks", {"s", "masks", "default"});
  placed.run.method = "masks";
  placed.run.diagnostics = {{assay::kTaskBytes, 2000}};
  for (assay::ScoreRecord& score : placed.run.scores) {
    score.value = 1;
    score.outcomes.assign(4, 1);
  }
}

}  // namespace fake
