#include "harness/sweep/run_sweep.h"

#include <ATen/Parallel.h>

#include <array>
#include <map>
#include <optional>
#include <set>

#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/provenance.h"
#include "harness/sweep/describe.h"
#include "harness/sweep/internal/choosing.h"
#include "harness/sweep/run_statistic.h"

namespace assay {
namespace {

std::vector<PlacedKey> places_of(const std::vector<PlannedCell>& planned) {
  std::vector<PlacedKey> places;
  for (const PlannedCell& entry : planned) places.push_back({entry.cell.key(), entry.placement});
  return places;
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// A search goes on past parameters that cannot be used together.
void warn_of_impossible(const Choosing& choosing) {
  const Placement& at = choosing.choice().placement;
  if (choosing.impossible() > 0)
    log_warning("set '{}', row '{}': {} of {} candidates could not be merged; the first: {}",
                at.set, at.row, choosing.impossible(), choosing.choice().budget,
                choosing.obstacle());
}

// Every place that a run of the whole sweep file may fill, rows left out included. Of a search:
// those of the candidates that the store knows it asks for.
std::vector<PlacedKey> possible_places(const ResolvedSweep& sweep, const Store& store) {
  ResolvedSweep whole = sweep;
  append(whole.file.methods, sweep.file.left_out);
  const Plan plan = plan_sweep(whole);
  std::vector<PlacedKey> places = places_of(plan.fixed);
  for (const Choice& choice : plan.choices) {
    const Choosing choosing = Choosing::replay(choice, &store);
    append(places, places_of(choosing.candidates()));
    for (const Cell& cell : choosing.test_cells()) places.push_back({cell.key(), choice.placement});
  }
  return places;
}

// Takes what the choices left open out of `places` and puts what they came to in.
void narrow(std::vector<PlacedKey>& places, const std::vector<Choosing>& choices,
            const std::vector<PlannedCell>& chosen) {
  std::set<std::array<std::string, 3>> open;
  for (const Choosing& choosing : choices) {
    const Placement& at = choosing.choice().placement;
    open.insert({at.set, at.row, at.variant});
    open.insert({at.set, at.row, "grid"});
  }
  std::erase_if(places, [&](const PlacedKey& place) {
    const Placement& at = place.placement;
    return open.contains({at.set, at.row, at.variant});
  });
  for (const Choosing& choosing : choices) append(places, places_of(choosing.candidates()));
  append(places, places_of(chosen));
}

class SweepRun {
 public:
  SweepRun(Store& store, int64_t sweep, Executor& executor, Environment environment)
      : store_(store), sweep_(sweep), executor_(executor), environment_(std::move(environment)) {
    environment_.threads = executor.threads();
  }

  // Runs the cells that have no result yet. Every result is placed as soon as its cell finishes.
  void run(const std::vector<PlannedCell>& planned, const std::string& title) {
    std::vector<Cell> missing;
    std::map<std::string, std::vector<PlacedKey>> places;  // by key
    std::vector<PlacedKey> there;
    const std::vector<PlacedKey> wanted = places_of(planned);
    for (const PlacedKey& place : wanted) places[place.key].push_back(place);
    std::set<std::string> seen;
    for (size_t i = 0; i < planned.size(); ++i) {
      const PlannedCell& entry = planned[i];
      const std::string& key = wanted[i].key;
      if (!seen.insert(key).second) continue;
      const auto known = store_.find_run(key);
      if (known && known->status == RunStatus::kOk) {
        summary_.reused += reported_.insert(key).second ? 1 : 0;
        there.insert(there.end(), places[key].begin(), places[key].end());
        continue;
      }
      if (entry.unmet) {
        skip(entry.cell, *entry.unmet);
        there.insert(there.end(), places[key].begin(), places[key].end());
        continue;
      }
      missing.push_back(entry.cell);
    }
    store_.place_runs(sweep_, there);
    prepare_statistics(missing, places);
    Progress progress(title, static_cast<int64_t>(missing.size()));
    executor_.run(missing, [&](size_t index, RunRecord record) {
      finish(record);
      store_.place_runs(sweep_, places.at(record.key));
      const std::string what = missing[index].describe();
      if (record.status == RunStatus::kFailed) log_warning("failed: {}: {}", what, record.reason);
      progress.advance(1, what);
    });
  }

  const SweepSummary& summary() const { return summary_; }

 private:
  // Computes the statistics that the cells need and that have no file yet, and stores what they
  // cost. Cells whose statistics cannot be had have failed then, and are taken out.
  void prepare_statistics(std::vector<Cell>& cells,
                          const std::map<std::string, std::vector<PlacedKey>>& places) {
    std::map<std::string, StatisticJob> wanted;
    for (const Cell& cell : cells)
      for (StatisticJob& job : cell.statistic_jobs())
        if (!stored_statistics_.contains(job.key())) wanted.emplace(job.key(), std::move(job));
    std::vector<StatisticJob> missing;
    for (const auto& [key, job] : wanted)
      if (!stored_cost(job)) missing.push_back(job);
    std::map<std::string, std::string> errors;  // by key
    Progress progress("statistics of the experts' data", static_cast<int64_t>(missing.size()));
    executor_.compute(missing, [&](size_t index, const std::string& error) {
      const StatisticJob& job = missing[index];
      if (const auto cost = error.empty() ? stored_cost(job) : std::nullopt) {
        ++summary_.statistics;
        summary_.statistics_s += cost->wall_s.value_or(0);
      } else {
        errors[job.key()] = fmt::format("{}: {}", job.describe(),
                                        error.empty() ? "its file is gone already" : error);
      }
      progress.advance(1, job.describe());
    });
    for (const auto& [key, error] : errors) log_warning("failed: {}", error);
    if (!errors.empty())
      std::erase_if(cells, [&](const Cell& cell) { return failed_by(errors, cell, places); });
  }

  // What it cost, which is then in the store; absent when it has no file.
  std::optional<Cost> stored_cost(const StatisticJob& job) {
    const auto file = open_statistic(job);
    if (!file) return std::nullopt;
    store_.put_statistic(statistic_record(*file));
    stored_statistics_.insert(job.key());
    return file->cost();
  }

  bool failed_by(const std::map<std::string, std::string>& errors, const Cell& cell,
                 const std::map<std::string, std::vector<PlacedKey>>& places) {
    for (const StatisticJob& job : cell.statistic_jobs())
      if (const auto error = errors.find(job.key()); error != errors.end()) {
        RunRecord record = empty_record(cell);
        record.status = RunStatus::kFailed;
        record.reason = error->second;
        finish(record);
        store_.place_runs(sweep_, places.at(record.key));
        return true;
      }
    return false;
  }

  void skip(const Cell& cell, const std::string& reason) {
    RunRecord record = empty_record(cell);
    record.status = RunStatus::kSkipped;
    record.reason = reason;
    finish(record);
  }

  void finish(RunRecord record) {
    // What failed or was skipped may lack its statistics.
    if (record.status != RunStatus::kOk) record.statistics.clear();
    reported_.insert(record.key);
    if (!store_.put_run(record, environment_)) {  // another process was faster
      ++summary_.reused;
      return;
    }
    ++summary_.ran;
    if (record.status == RunStatus::kSkipped) ++summary_.skipped;
    if (record.status == RunStatus::kFailed) {
      ++summary_.failed;
      summary_.partly += record.scores.empty() ? 0 : 1;
    }
    for (const auto& [phase, cost] : record.costs)
      (phase == "evaluation"   ? summary_.evaluate_s
       : phase == kSharedPhase ? summary_.shared_s
                               : summary_.merge_s) += cost.wall_s.value_or(0);
  }

  Store& store_;
  int64_t sweep_;
  Executor& executor_;
  Environment environment_;
  SweepSummary summary_;
  std::set<std::string> reported_;
  std::set<std::string> stored_statistics_;  ///< keys
};

}  // namespace

SweepSummary run_sweep(const ResolvedSweep& sweep, const Plan& plan, Store& store,
                       Executor& executor, const Environment& environment) {
  for (const auto& [name, model] : sweep.models) store.put_checkpoint(checkpoint_record(model));
  for (const auto& task : sweep.tasks) store.put_task(task_record(*task));
  for (const MethodSpec& method : sweep.file.methods)
    store.put_method(method_record(parse_method_ref(method.method).name));
  const int64_t id = store.put_sweep(sweep.record());
  std::vector<PlacedKey> places = possible_places(sweep, store);
  store.start_sweep(id, places);

  SweepRun run(store, id, executor, environment);
  std::vector<Choosing> choices(plan.choices.begin(), plan.choices.end());
  std::vector<PlannedCell> wave = plan.fixed;
  for (int round = 1;; ++round) {
    for (const Choosing& choosing : choices) append(wave, choosing.open());
    if (wave.empty()) break;
    run.run(wave, round == 1 ? "references, defaults and grids"
                             : fmt::format("round {} of the searches", round));
    for (Choosing& choosing : choices) {
      if (choosing.open().empty()) continue;
      choosing.advance(store);
      if (choosing.choice().spec) store.put_search(id, choosing.record());
    }
    wave.clear();
  }

  std::vector<PlannedCell> chosen;
  for (const Choosing& choosing : choices) {
    warn_of_impossible(choosing);
    if (choosing.choice().spec) store.put_search(id, choosing.record());
    if (const auto winner = choosing.winner()) chosen.push_back(*winner);
  }
  narrow(places, choices, chosen);
  store.narrow_sweep(id, places);  // an earlier run may have chosen otherwise
  run.run(chosen, "chosen configurations");
  const SweepSummary& summary = run.summary();
  store.finish_sweep(id, places,
                     !sweep.file.left_out.empty()    ? SweepEnd::kPart
                     : summary.ran > summary.skipped ? SweepEnd::kChanged
                                                     : SweepEnd::kUnchanged);
  return summary;
}

Environment current_environment(const std::string& device, const std::string& command_line) {
  Environment environment;
  environment.git_revision = git_revision();
  environment.compiler = compiler_name();
  environment.libtorch = ASSAY_LIBTORCH_VERSION;
  environment.device = device;
  environment.cpu = cpu_name();
  environment.host_os = os_name();
  environment.command_line = command_line;
  environment.threads = at::get_num_threads();
  return environment;
}

}  // namespace assay
