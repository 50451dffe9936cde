#include <algorithm>
#include <set>

#include "results/internal/rows.h"
#include "results/store.h"

namespace assay {
namespace {

int64_t find_sweep(Database& database, const std::string& name) {
  if (const auto id = database.find_id(
          "SELECT id FROM sweeps WHERE ?1 IN ('', name) ORDER BY execution DESC LIMIT 1", name))
    return *id;
  std::vector<std::string> names;
  auto& known = database.query("SELECT DISTINCT name FROM sweeps ORDER BY name");
  while (known.executeStep()) names.push_back(known.getColumn(0).getString());
  if (names.empty()) data_error("the results store has no sweep yet");
  throw UserError(unknown_name("sweep", name, "the results store", names));
}

ExpertSetRecord read_set(Database& database, int64_t id, const std::string& name) {
  ExpertSetRecord set{name, {}, {}};
  auto& expert = database.query(
      "SELECT checkpoint FROM set_experts WHERE expert_set = ? ORDER BY position", id);
  while (expert.executeStep()) set.experts.push_back(expert.getColumn(0).getString());
  auto& task = database.query(
      "SELECT name, held_in, own_expert FROM set_tasks JOIN tasks ON tasks.id = task "
      "WHERE expert_set = ? ORDER BY position",
      id);
  while (task.executeStep())
    set.tasks.push_back({task.getColumn(0).getString(), task.getColumn(1).getInt() != 0,
                         task.getColumn(2).getString()});
  return set;
}

void read_tasks(Database& database, int64_t sweep, SweepResults& results) {
  auto& row = database.query(
      "SELECT t.name, t.hash, t.definition, t.validation_items, t.test_items FROM tasks t JOIN "
      "set_tasks x ON x.task = t.id JOIN expert_sets s ON s.id = x.expert_set WHERE s.sweep = ? "
      "GROUP BY t.id ORDER BY min(s.position * 1000000 + x.position)",
      sweep);
  while (row.executeStep())
    results.tasks.push_back({row.getColumn(0).getString(), row.getColumn(1).getString(),
                             Json::parse(row.getColumn(2).getString()), row.getColumn(3).getInt64(),
                             row.getColumn(4).getInt64()});
}

void read_methods(Database& database, int64_t sweep, SweepResults& results) {
  auto& row = database.query(
      "SELECT m.name, m.version, m.paper, m.summary, m.needs, m.parameters FROM methods m JOIN "
      "runs r ON r.method = m.name AND r.method_version = m.version JOIN placements p ON "
      "p.run = r.id WHERE p.sweep = ? GROUP BY m.name, m.version ORDER BY min(p.id)",
      sweep);
  while (row.executeStep())
    results.methods.push_back({row.getColumn(0).getString(), row.getColumn(1).getInt(),
                               row.getColumn(2).getString(), row.getColumn(3).getString(),
                               Json::parse(row.getColumn(4).getString()),
                               Json::parse(row.getColumn(5).getString())});
}

void read_checkpoints(Database& database, const std::set<std::string>& hashes,
                      SweepResults& results) {
  auto& row =
      database.query("SELECT hash, name, path, role, origin FROM checkpoints ORDER BY rowid");
  while (row.executeStep()) {
    if (!hashes.contains(row.getColumn(0).getString())) continue;
    CheckpointRecord checkpoint{row.getColumn(0).getString(),
                                row.getColumn(1).getString(),
                                row.getColumn(2).getString(),
                                row.getColumn(3).getString(),
                                {}};
    if (!row.getColumn(4).isNull()) checkpoint.origin = Json::parse(row.getColumn(4).getString());
    results.checkpoints.push_back(std::move(checkpoint));
  }
}

struct PlacedId {
  Placement placement;
  int64_t run = 0, environment = 0;
};

std::vector<PlacedId> read_placements(Database& database, int64_t sweep) {
  std::vector<PlacedId> placed;
  auto& row = database.query(
      "SELECT s.name, p.row_name, p.variant, p.run, r.environment "
      "FROM placements p JOIN expert_sets s ON s.id = p.expert_set "
      "JOIN runs r ON r.id = p.run WHERE p.sweep = ? ORDER BY p.id",
      sweep);
  while (row.executeStep())
    placed.push_back(
        {{row.getColumn(0).getString(), row.getColumn(1).getString(), row.getColumn(2).getString()},
         row.getColumn(3).getInt64(),
         row.getColumn(4).getInt64()});
  return placed;
}

void read_runs(Database& database, int64_t sweep, SweepResults& results) {
  std::vector<int64_t> environments;
  for (PlacedId& placed : read_placements(database, sweep)) {
    auto known = std::find(environments.begin(), environments.end(), placed.environment);
    const auto index = static_cast<size_t>(known - environments.begin());
    if (known == environments.end()) {
      environments.push_back(placed.environment);
      results.environments.push_back(read_environment(database, placed.environment));
    }
    // Outcomes are for paired comparisons, which do not use the runs of a grid.
    const bool with_outcomes = placed.placement.variant != "grid";
    results.runs.push_back(
        {std::move(placed.placement), read_run(database, placed.run, with_outcomes), index});
  }
}

}  // namespace

SweepResults read_sweep(Database& database, const std::string& name) {
  // One transaction: a consistent snapshot, whatever is written meanwhile.
  SQLite::Transaction moment(database.handle());
  SweepResults results;
  const int64_t id = find_sweep(database, name);
  auto& row = database.query(
      "SELECT name, config, hash, started_at, finished_at FROM sweeps WHERE id = ?", id);
  row.executeStep();
  results.sweep = {row.getColumn(0).getString(), {}, row.getColumn(2).getString(), {}};
  read_config_column(Json::parse(row.getColumn(1).getString()), results.sweep);
  results.started_at = row.getColumn(3).getString();
  results.finished_at = row.getColumn(4).getString();
  row.reset();

  std::vector<std::pair<int64_t, std::string>> sets;
  auto& set =
      database.query("SELECT id, name FROM expert_sets WHERE sweep = ? ORDER BY position", id);
  while (set.executeStep())
    sets.emplace_back(set.getColumn(0).getInt64(), set.getColumn(1).getString());
  for (const auto& [set_id, set_name] : sets)
    results.sweep.sets.push_back(read_set(database, set_id, set_name));

  read_tasks(database, id, results);
  read_methods(database, id, results);
  read_runs(database, id, results);
  results.searches = read_searches(database, id);
  results.statistics = read_statistics(database, id);
  std::set<std::string> hashes;
  for (const ExpertSetRecord& s : results.sweep.sets)
    hashes.insert(s.experts.begin(), s.experts.end());
  for (const auto& placed : results.runs) {
    hashes.insert(placed.run.base);
    hashes.insert(placed.run.experts.begin(), placed.run.experts.end());
  }
  read_checkpoints(database, hashes, results);
  return results;
}

}  // namespace assay
