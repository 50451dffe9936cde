#include <array>
#include <set>

#include "results/internal/rows.h"
#include "results/internal/store_impl.h"

namespace assay {
namespace {

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

// Deletes all other placements; returns whether there were any.
bool keep_placements(Database& database, int64_t sweep, const std::vector<PlacedKey>& places) {
  using Names = std::array<std::string, 4>;
  std::set<Names> kept;
  for (const auto& [key, placement] : places)
    kept.insert({key, placement.set, placement.row, placement.variant});
  std::vector<int64_t> others;
  auto& row = database.query(
      "SELECT p.id, r.key, s.name, p.row_name, p.variant FROM placements p "
      "JOIN runs r ON r.id = p.run JOIN expert_sets s ON s.id = p.expert_set "
      "WHERE p.sweep = ?",
      sweep);
  while (row.executeStep()) {
    const Names names{row.getColumn(1).getString(), row.getColumn(2).getString(),
                      row.getColumn(3).getString(), row.getColumn(4).getString()};
    if (!kept.contains(names)) others.push_back(row.getColumn(0).getInt64());
  }
  for (const int64_t id : others) database.execute("DELETE FROM placements WHERE id = ?", id);
  if (!others.empty()) delete_unplaced_searches(database, sweep);
  return !others.empty();
}

}  // namespace

int64_t Store::put_sweep(const SweepRecord& sweep) {
  Database& database = impl_->database;
  return database.transaction(fmt::format("writing sweep '{}'", sweep.name), [&] {
    const int64_t id = *database.find_id(
        fmt::format("INSERT INTO sweeps (name, hash, config, execution, started_at) "
                    "VALUES (?, ?, ?, (SELECT 1 + coalesce(max(execution), 0) FROM sweeps), {}) "
                    "ON CONFLICT (hash) DO UPDATE SET execution = excluded.execution, "
                    "config = excluded.config RETURNING id",
                    kNow),
        sweep.name, sweep.hash, json_text(config_column(sweep)));
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
    database.execute(fmt::format("UPDATE sweeps SET started_at = {}, finished_at = NULL "
                                 "WHERE id = ? AND (? OR finished_at IS NULL)",
                                 kNow),
                     sweep, lost ? 1 : 0);
  });
}

void Store::narrow_sweep(int64_t sweep, const std::vector<PlacedKey>& possible) {
  Database& database = impl_->database;
  database.transaction("narrowing the sweep", [&] {
    if (!keep_placements(database, sweep, possible)) return;
    database.execute(fmt::format("UPDATE sweeps SET started_at = {}, finished_at = NULL "
                                 "WHERE id = ? AND finished_at IS NOT NULL",
                                 kNow),
                     sweep);
  });
}

void Store::finish_sweep(int64_t sweep, const std::vector<PlacedKey>& places, SweepEnd end) {
  Database& database = impl_->database;
  database.transaction("finishing the sweep", [&] {
    keep_placements(database, sweep, places);
    if (end == SweepEnd::kPart) return;
    database.execute(fmt::format("UPDATE sweeps SET finished_at = {} "
                                 "WHERE id = ? AND (? OR finished_at IS NULL)",
                                 kNow),
                     sweep, end == SweepEnd::kChanged ? 1 : 0);
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
