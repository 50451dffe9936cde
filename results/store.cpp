#include "results/store.h"

#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "results/internal/rows.h"

namespace assay {
namespace {

constexpr const char* kNow = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

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

/// The versions of tasks that this process put. Another process may put others meanwhile.
using TaskIds = std::map<std::string, int64_t>;

int64_t current_task(Database& database, const TaskIds& own, const std::string& name) {
  if (const auto known = own.find(name); known != own.end()) return known->second;
  const auto id = database.find_id("SELECT id FROM tasks WHERE name = ? AND current = 1", name);
  if (!id) data_error("the task '{}' is not in the store", name);
  return *id;
}

// The row of a run without its parts, which the caller writes next. A run that did not succeed is
// overwritten in place, so that its placements stay.
int64_t put_run_row(Database& database, const RunRecord& run, int64_t environment) {
  if (const auto old = database.find_id("SELECT id FROM runs WHERE key = ?", run.key))
    for (const char* table : {"run_experts", "costs", "scores"})
      database.execute(fmt::format("DELETE FROM {} WHERE run = ?", table), *old);
  const bool is_merge = !run.method.empty();
  return *database.find_id(
      fmt::format(
          "INSERT INTO runs (key, kind, split, method, method_version, preset, parameters, seed, "
          "base, status, reason, diagnostics, environment, created_at) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {}) "
          "ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, split = excluded.split, "
          "method = excluded.method, method_version = excluded.method_version, "
          "preset = excluded.preset, parameters = excluded.parameters, seed = excluded.seed, "
          "base = excluded.base, status = excluded.status, reason = excluded.reason, "
          "diagnostics = excluded.diagnostics, environment = excluded.environment, "
          "created_at = excluded.created_at RETURNING id",
          kNow),
      run.key, run_kind_name(run.kind), run.split, text_or_null(run.method),
      is_merge ? std::optional(run.method_version) : std::nullopt, run.preset,
      json_text(run.parameters), std::bit_cast<int64_t>(run.seed), text_or_null(run.base),
      run_status_name(run.status), run.reason, json_text(run.diagnostics), environment);
}

void put_costs(Database& database, int64_t run, const std::map<std::string, Cost>& costs) {
  for (const auto& [phase, cost] : costs)
    database.execute("INSERT INTO costs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run, phase,
                     cost.wall_s, cost.cpu_s, cost.device_s, cost.peak_rss_bytes,
                     cost.peak_device_bytes, cost.flops, cost.bytes_read, cost.bytes_written,
                     cost.examples, cost.gradient_steps);
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

void put_set(Database& database, const TaskIds& own, int64_t sweep, const ExpertSetRecord& set,
             int64_t position) {
  const int64_t id = *database.find_id(
      "INSERT INTO expert_sets (sweep, name, position) VALUES (?, ?, ?) "
      "ON CONFLICT (sweep, name) DO UPDATE SET position = excluded.position RETURNING id",
      sweep, set.name, position);
  database.execute("DELETE FROM set_experts WHERE expert_set = ?", id);
  database.execute("DELETE FROM set_tasks WHERE expert_set = ?", id);
  for (size_t i = 0; i < set.experts.size(); ++i)
    database.execute("INSERT INTO set_experts VALUES (?, ?, ?)", id, static_cast<int64_t>(i),
                     set.experts[i]);
  for (size_t i = 0; i < set.tasks.size(); ++i)
    database.execute("INSERT INTO set_tasks VALUES (?, ?, ?, ?, ?)", id, static_cast<int64_t>(i),
                     current_task(database, own, set.tasks[i].task), set.tasks[i].held_in ? 1 : 0,
                     text_or_null(set.tasks[i].own_expert));
}

// Takes all other places away; true when there were some.
bool keep_placements(Database& database, int64_t sweep, const std::vector<PlacedKey>& places) {
  using Place = std::array<std::string, 4>;
  std::set<Place> kept;
  for (const auto& [key, placement] : places)
    kept.insert({key, placement.set, placement.row, placement.variant});
  std::vector<int64_t> others;
  auto& row = database.query(
      "SELECT p.id, r.key, s.name, p.row_name, p.variant FROM placements p JOIN runs r ON "
      "r.id = p.run JOIN expert_sets s ON s.id = p.expert_set WHERE p.sweep = ?",
      sweep);
  while (row.executeStep()) {
    const Place place{row.getColumn(1).getString(), row.getColumn(2).getString(),
                      row.getColumn(3).getString(), row.getColumn(4).getString()};
    if (!kept.contains(place)) others.push_back(row.getColumn(0).getInt64());
  }
  for (const int64_t id : others) database.execute("DELETE FROM placements WHERE id = ?", id);
  return !others.empty();
}

}  // namespace

struct Store::Impl {
  Impl(const std::filesystem::path& path, OpenMode mode) : database(path, mode) {}
  Database database;
  TaskIds own_tasks;
};

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
        "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT "
        "(hash) DO UPDATE SET name = excluded.name, path = "
        "excluded.path, role = excluded.role, origin = excluded.origin",
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
        "VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (name, hash) DO UPDATE SET "
        "definition = excluded.definition, validation_items = excluded.validation_items, "
        "test_items = excluded.test_items, current = 1 RETURNING id",
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

int64_t Store::put_sweep(const SweepRecord& sweep) {
  Database& database = impl_->database;
  return database.transaction(fmt::format("writing sweep '{}'", sweep.name), [&] {
    const int64_t id = *database.find_id(
        fmt::format("INSERT INTO sweeps (name, hash, config, execution, started_at) "
                    "VALUES (?, ?, ?, (SELECT 1 + coalesce(max(execution), 0) FROM "
                    "sweeps), {0}) ON CONFLICT (hash) DO UPDATE SET execution = "
                    "excluded.execution RETURNING id",
                    kNow),
        sweep.name, sweep.hash, json_text(sweep.config));
    Json names = Json::array();
    for (size_t i = 0; i < sweep.sets.size(); ++i) {
      put_set(database, impl_->own_tasks, id, sweep.sets[i], static_cast<int64_t>(i));
      names.push_back(sweep.sets[i].name);
    }
    database.execute(
        "DELETE FROM expert_sets WHERE sweep = ? AND name NOT IN "
        "(SELECT value FROM json_each(?))",
        id, json_text(names));
    return id;
  });
}

void Store::start_sweep(int64_t sweep, const std::vector<PlacedKey>& possible) {
  Database& database = impl_->database;
  database.transaction("starting the sweep", [&] {
    const bool lost = keep_placements(database, sweep, possible);
    database.execute(fmt::format("UPDATE sweeps SET started_at = {}, finished_at = "
                                 "NULL WHERE id = ? AND (? OR finished_at IS NULL)",
                                 kNow),
                     sweep, lost ? 1 : 0);
  });
}

void Store::narrow_sweep(int64_t sweep, const std::vector<PlacedKey>& possible) {
  Database& database = impl_->database;
  database.transaction("narrowing the sweep", [&] {
    if (!keep_placements(database, sweep, possible)) return;
    database.execute(fmt::format("UPDATE sweeps SET started_at = {}, finished_at "
                                 "= NULL WHERE id = ? AND finished_at IS NOT NULL",
                                 kNow),
                     sweep);
  });
}

void Store::finish_sweep(int64_t sweep, const std::vector<PlacedKey>& places, SweepEnd end) {
  Database& database = impl_->database;
  database.transaction("finishing the sweep", [&] {
    keep_placements(database, sweep, places);
    if (end == SweepEnd::kPart) return;
    database.execute(
        fmt::format(
            "UPDATE sweeps SET finished_at = {} WHERE id = ? AND (? OR finished_at IS NULL)", kNow),
        sweep, end == SweepEnd::kChanged ? 1 : 0);
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
    put_costs(database, id, run.costs);
    put_scores(database, impl_->own_tasks, id, run.scores);
    return true;
  });
}

void Store::place_runs(int64_t sweep, const std::vector<PlacedKey>& places) {
  Database& database = impl_->database;
  database.transaction("placing runs", [&] {
    for (const auto& [key, placement] : places) {
      const auto set = database.find_id("SELECT id FROM expert_sets WHERE sweep = ? AND name = ?",
                                        sweep, placement.set);
      const auto run = database.find_id("SELECT id FROM runs WHERE key = ?", key);
      if (!set) data_error("the sweep has no expert set '{}'", placement.set);
      if (!run) data_error("there is no run '{}'", key);
      database.execute(
          "INSERT INTO placements (sweep, expert_set, row_name, variant, run) "
          "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
          sweep, *set, placement.row, placement.variant, *run);
    }
  });
}

std::vector<std::string> Store::sweep_names() const {
  Database& database = impl_->database;
  return database.guarded("listing sweeps", [&] {
    std::vector<std::string> names;
    auto& row =
        database.query("SELECT name FROM sweeps GROUP BY name ORDER BY max(execution) DESC");
    while (row.executeStep()) names.push_back(row.getColumn(0).getString());
    return names;
  });
}

SweepResults Store::load_sweep(const std::string& name) const {
  Database& database = impl_->database;
  return database.guarded("reading a sweep", [&] { return read_sweep(database, name); });
}

}  // namespace assay
