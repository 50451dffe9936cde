#include "results/internal/rows.h"

#include <cmath>

namespace assay {
namespace {

constexpr int kCalibrationVersion = 3;  // of the schema: the first with calibration and statistics
constexpr const char* kFound = "found at";  // a sweep file refuses unknown keys, so it has no such

// Only existing columns: a store of version 1 has no own peaks.
Cost cost_of(SQLite::Statement& row) {
  Json fields;
  for (int i = 0; i < row.getColumnCount(); ++i) {
    const SQLite::Column value = row.getColumn(i);
    if (value.isFloat()) fields[value.getName()] = value.getDouble();
    if (value.isInteger()) fields[value.getName()] = value.getInt64();
  }
  return fields.get<Cost>();
}

void read_costs(Database& database, int64_t id, RunRecord& run) {
  auto& row = database.query("SELECT * FROM costs WHERE run = ?", id);
  while (row.executeStep()) run.costs[row.getColumn("phase").getString()] = cost_of(row);
}

void read_calibration(Database& database, int64_t id, RunRecord& run) {
  if (database.version() < kCalibrationVersion) return;
  auto& row = database.query("SELECT calibration FROM runs WHERE id = ?", id);
  if (row.executeStep() && !row.getColumn(0).isNull())
    run.calibration = Json::parse(row.getColumn(0).getString());
  row.reset();
  auto& used = database.query(
      "SELECT key FROM run_statistics JOIN statistics ON statistics.id = statistic WHERE run = ? "
      "ORDER BY key",
      id);
  while (used.executeStep()) run.statistics.push_back(used.getColumn(0).getString());
}

void read_scores(Database& database, int64_t id, bool with_outcomes, RunRecord& run) {
  auto& row = database.query(
      fmt::format("SELECT name, split, metric, is_primary, value{} FROM scores JOIN tasks ON "
                  "tasks.id = task WHERE run = ? ORDER BY scores.id",
                  with_outcomes ? ", outcomes" : ""),
      id);
  while (row.executeStep()) {
    ScoreRecord score{row.getColumn(0).getString(), row.getColumn(1).getString(),
                      row.getColumn(2).getString(), row.getColumn(3).getInt() != 0,
                      row.getColumn(4).getDouble(), {}};
    if (with_outcomes)
      score.outcomes = Json::parse(row.getColumn(5).getString()).get<std::vector<double>>();
    run.scores.push_back(std::move(score));
  }
}

}  // namespace

Json config_column(const SweepRecord& sweep) {
  Json column = sweep.config;
  for (const FoundName& found : sweep.found)
    column[kFound].push_back({{"what", found.what}, {"name", found.name}, {"path", found.path}});
  return column;
}

void read_config_column(Json column, SweepRecord& sweep) {
  if (column.is_object()) {
    for (const Json& found : column.value(kFound, Json::array()))
      sweep.found.push_back({found.at("what").get<std::string>(),
                             found.at("name").get<std::string>(),
                             found.at("path").get<std::string>()});
    column.erase(kFound);
  }
  sweep.config = std::move(column);
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string outcomes_text(const std::vector<double>& outcomes) {
  std::string text = "[";
  for (const double outcome : outcomes) {
    if (!std::isfinite(outcome)) data_error("an item's outcome is {}", outcome);
    if (text.size() > 1) text += ',';
    text += fmt::format("{}", outcome);
  }
  return text + "]";
}

std::optional<std::string> text_or_null(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

RunRecord read_run(Database& database, int64_t id, bool with_outcomes) {
  auto& row = database.query(
      "SELECT key, kind, split, method, method_version, preset, parameters, seed, base, status, "
      "reason, diagnostics FROM runs WHERE id = ?",
      id);
  ASSAY_CHECK(row.executeStep(), "run {}", id);
  RunRecord run;
  run.key = row.getColumn(0).getString();
  run.kind = run_kind_from_name(row.getColumn(1).getString());
  run.split = row.getColumn(2).getString();
  run.method = row.getColumn(3).getString();
  run.method_version = row.getColumn(4).getInt();
  run.preset = row.getColumn(5).getString();
  run.parameters = Json::parse(row.getColumn(6).getString());
  run.seed = static_cast<uint64_t>(row.getColumn(7).getInt64());
  run.base = row.getColumn(8).getString();
  run.status = run_status_from_name(row.getColumn(9).getString());
  run.reason = row.getColumn(10).getString();
  run.diagnostics = Json::parse(row.getColumn(11).getString());
  row.reset();
  auto& expert =
      database.query("SELECT checkpoint FROM run_experts WHERE run = ? ORDER BY position", id);
  while (expert.executeStep()) run.experts.push_back(expert.getColumn(0).getString());
  read_calibration(database, id, run);
  read_costs(database, id, run);
  read_scores(database, id, with_outcomes, run);
  return run;
}

std::vector<StatisticRecord> read_statistics(Database& database, int64_t sweep) {
  std::vector<StatisticRecord> statistics;
  if (database.version() < kCalibrationVersion) return statistics;
  auto& row = database.query(
      "SELECT * FROM statistics WHERE id IN (SELECT statistic FROM run_statistics x JOIN "
      "placements p ON p.run = x.run WHERE p.sweep = ?) ORDER BY id",
      sweep);
  while (row.executeStep())
    statistics.push_back(
        {row.getColumn("key").getString(), row.getColumn("name").getString(),
         row.getColumn("version").getInt(), Json::parse(row.getColumn("parameters").getString()),
         row.getColumn("checkpoint").getString(), Json::parse(row.getColumn("data").getString()),
         row.getColumn("bytes").getInt64(), cost_of(row)});
  return statistics;
}

Environment read_environment(Database& database, int64_t id) {
  auto& row = database.query(
      "SELECT git_revision, compiler, libtorch, device, cpu, host_os, command_line, threads "
      "FROM environments WHERE id = ?",
      id);
  ASSAY_CHECK(row.executeStep(), "environment {}", id);
  Environment environment{row.getColumn(0).getString(), row.getColumn(1).getString(),
                          row.getColumn(2).getString(), row.getColumn(3).getString(),
                          row.getColumn(4).getString(), row.getColumn(5).getString(),
                          row.getColumn(6).getString(), row.getColumn(7).getInt()};
  row.reset();
  return environment;
}

}  // namespace assay
