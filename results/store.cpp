#include "results/store.h"

#include <bit>
#include <cmath>

#include "results/internal/rows.h"
#include "results/internal/store_impl.h"

namespace assay {
namespace {

int64_t put_environment(Database& database, const Environment& e) {
  database.execute(
      "INSERT INTO environments (git_revision, compiler, libtorch, device, cpu, host_os, "
      "command_line, threads) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      e.git_revision, e.compiler, e.libtorch, e.device, e.cpu, e.host_os, e.command_line,
      e.threads);
  return *database.find_id(
      "SELECT id FROM environments WHERE git_revision = ? AND compiler = ? AND libtorch = ? AND "
      "device = ? AND cpu = ? AND host_os = ? AND command_line = ? AND threads = ?",
      e.git_revision, e.compiler, e.libtorch, e.device, e.cpu, e.host_os, e.command_line,
      e.threads);
}

// The row of a run; the caller then writes its experts, costs and scores. A failed or skipped run
// is updated in place, so that its placements are kept.
int64_t put_run_row(Database& database, const RunRecord& run, int64_t environment) {
  if (const auto old = database.find_id("SELECT id FROM runs WHERE key = ?", run.key))
    for (const char* table : {"run_experts", "run_statistics", "costs", "scores"})
      database.execute(fmt::format("DELETE FROM {} WHERE run = ?", table), *old);
  const bool is_merge = !run.method.empty();
  return *database.find_id(
      fmt::format(
          "INSERT INTO runs (key, kind, split, method, method_version, preset, parameters, seed, "
          "base, status, reason, diagnostics, environment, calibration, created_at) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {}) "
          "ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, split = excluded.split, "
          "method = excluded.method, method_version = excluded.method_version, "
          "preset = excluded.preset, parameters = excluded.parameters, seed = excluded.seed, "
          "base = excluded.base, status = excluded.status, reason = excluded.reason, "
          "diagnostics = excluded.diagnostics, environment = excluded.environment, "
          "calibration = excluded.calibration, created_at = excluded.created_at RETURNING id",
          kNow),
      run.key, run_kind_name(run.kind), run.split, text_or_null(run.method),
      is_merge ? std::optional(run.method_version) : std::nullopt, run.preset,
      json_text(run.parameters), std::bit_cast<int64_t>(run.seed), text_or_null(run.base),
      run_status_name(run.status), run.reason, json_text(run.diagnostics), environment,
      run.calibration.is_null() ? std::nullopt : std::optional(json_text(run.calibration)));
}

void put_costs(Database& database, int64_t run, const std::map<std::string, Cost>& costs) {
  for (const auto& [phase, cost] : costs)
    database.execute(
        "INSERT INTO costs (run, phase, wall_s, cpu_s, device_s, peak_rss_bytes, "
        "peak_device_bytes, own_peak_rss_bytes, own_peak_device_bytes, flops, bytes_read, "
        "bytes_written, examples, gradient_steps) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        run, phase, cost.wall_s, cost.cpu_s, cost.device_s, cost.peak_rss_bytes,
        cost.peak_device_bytes, cost.own_peak_rss_bytes, cost.own_peak_device_bytes, cost.flops,
        cost.bytes_read, cost.bytes_written, cost.examples, cost.gradient_steps);
}

void put_scores(Database& database, const TaskIds& own, int64_t run,
                const std::vector<ScoreRecord>& scores) {
  for (const ScoreRecord& score : scores) {
    if (!std::isfinite(score.value))
      data_error("task '{}': the score '{}' is {}", score.task, score.metric, score.value);
    database.execute(
        "INSERT INTO scores (run, task, split, metric, is_primary, value, n, outcomes) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        run, current_task(database, own, score.task), score.split, score.metric,
        score.primary ? 1 : 0, score.value, static_cast<int64_t>(score.outcomes.size()),
        outcomes_text(score.outcomes));
  }
}

void put_run_statistics(Database& database, int64_t run, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const auto statistic = database.find_id("SELECT id FROM statistics WHERE key = ?", key);
    if (!statistic) data_error("the statistic '{}' is not in the store", key);
    database.execute("INSERT INTO run_statistics VALUES (?, ?)", run, *statistic);
  }
}

}  // namespace

int64_t current_task(Database& database, const TaskIds& own, const std::string& name) {
  if (const auto known = own.find(name); known != own.end()) return known->second;
  const auto id = database.find_id("SELECT id FROM tasks WHERE name = ? AND current = 1", name);
  if (!id) data_error("the task '{}' is not in the store", name);
  return *id;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store::~Store() = default;

Store Store::open(const std::filesystem::path& path) {
  return Store(std::make_unique<Impl>(path, OpenMode::kReadWrite));
}

Store Store::open_read_only(const std::filesystem::path& path) {
  return Store(std::make_unique<Impl>(path, OpenMode::kReadOnly));
}

void Store::put_checkpoint(const CheckpointRecord& checkpoint) {
  Database& database = impl_->database;
  database.transaction(fmt::format("writing checkpoint '{}'", checkpoint.name), [&] {
    database.execute(
        "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (hash) DO UPDATE SET name = excluded.name, path = excluded.path, "
        "role = excluded.role, origin = excluded.origin",
        checkpoint.hash, checkpoint.name, checkpoint.path, checkpoint.role,
        checkpoint.origin.is_null() ? std::nullopt : std::optional(json_text(checkpoint.origin)));
  });
}

void Store::put_task(const TaskRecord& task) {
  Database& database = impl_->database;
  database.transaction(fmt::format("writing task '{}'", task.name), [&] {
    database.execute("UPDATE tasks SET current = 0 WHERE name = ?", task.name);
    impl_->own_tasks[task.name] = *database.find_id(
        "INSERT INTO tasks (name, hash, definition, validation_items, test_items, current) "
        "VALUES (?, ?, ?, ?, ?, 1) "
        "ON CONFLICT (name, hash) DO UPDATE SET definition = excluded.definition, "
        "validation_items = excluded.validation_items, test_items = excluded.test_items, "
        "current = 1 RETURNING id",
        task.name, task.hash, json_text(task.definition), task.validation_items, task.test_items);
  });
}

void Store::put_method(const MethodRecord& method) {
  Database& database = impl_->database;
  database.transaction(fmt::format("writing method '{}'", method.name), [&] {
    database.execute(
        "INSERT INTO methods VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, version) DO UPDATE SET "
        "paper = excluded.paper, summary = excluded.summary, needs = excluded.needs, "
        "parameters = excluded.parameters",
        method.name, method.version, method.paper, method.summary, json_text(method.needs),
        json_text(method.parameters));
  });
}

void Store::put_statistic(const StatisticRecord& statistic) {
  Database& database = impl_->database;
  const Cost& cost = statistic.cost;
  database.transaction(fmt::format("writing statistic '{}'", statistic.name), [&] {
    database.execute(
        fmt::format("INSERT INTO statistics (key, name, version, parameters, checkpoint, data, "
                    "bytes, wall_s, cpu_s, device_s, peak_rss_bytes, peak_device_bytes, "
                    "own_peak_rss_bytes, own_peak_device_bytes, flops, bytes_read, bytes_written, "
                    "examples, gradient_steps, created_at) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {}) "
                    "ON CONFLICT (key) DO NOTHING",
                    kNow),
        statistic.key, statistic.name, statistic.version, json_text(statistic.parameters),
        statistic.checkpoint, json_text(statistic.data), statistic.bytes, cost.wall_s, cost.cpu_s,
        cost.device_s, cost.peak_rss_bytes, cost.peak_device_bytes, cost.own_peak_rss_bytes,
        cost.own_peak_device_bytes, cost.flops, cost.bytes_read, cost.bytes_written, cost.examples,
        cost.gradient_steps);
  });
}

std::optional<RunRecord> Store::find_run(const std::string& key) const {
  Database& database = impl_->database;
  return database.guarded("looking for a run", [&]() -> std::optional<RunRecord> {
    const auto id = database.find_id("SELECT id FROM runs WHERE key = ?", key);
    if (!id) return std::nullopt;
    return read_run(database, *id, false);
  });
}

bool Store::put_run(const RunRecord& run, const Environment& environment) {
  Database& database = impl_->database;
  return database.transaction(fmt::format("writing run '{}'", run.key), [&] {
    if (database.find_id("SELECT id FROM runs WHERE key = ? AND status = 'ok'", run.key))
      return false;
    const int64_t id = put_run_row(database, run, put_environment(database, environment));
    for (size_t i = 0; i < run.experts.size(); ++i)
      database.execute("INSERT INTO run_experts VALUES (?, ?, ?)", id, static_cast<int64_t>(i),
                       run.experts[i]);
    put_run_statistics(database, id, run.statistics);
    put_costs(database, id, run.costs);
    put_scores(database, impl_->own_tasks, id, run.scores);
    return true;
  });
}

}  // namespace assay
