#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "reports/internal/format.h"
#include "reports/internal/tables.h"

namespace assay {
namespace {

std::string field(const Json& calibration, const char* key) {
  const Json value = calibration.value(key, Json());
  if (value.is_null()) return std::string(kNotAvailable);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// "expert-a: t/one, t/two; expert-b: t/three".
std::string tasks_text(const RunRecord& run, std::map<std::string, std::string>& names) {
  std::vector<std::string> parts;
  const Json tasks = run.calibration.value("tasks", Json::array());
  for (size_t i = 0; i < tasks.size() && i < run.experts.size(); ++i) {
    std::vector<std::string> of_expert;
    for (const Json& task : tasks[i]) of_expert.push_back(task.value("name", "?"));
    parts.push_back(fmt::format("{}: {}", names[run.experts[i]], fmt::join(of_expert, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

Table calibration_table(const SweepResults& results) {
  Table table{
      .id = "calibration",
      .title = "Calibration",
      .intro =
          "Which data methods looked at: examples of the tasks that each expert was trained "
          "on, or of others that the row names. A method that looked at the test split is "
          "transductive.",
      .columns = {{"Model"},
                  {"Set"},
                  {"Split"},
                  {"Examples per expert", true},
                  {"Seed", true},
                  {"Tasks of each expert"},
                  {"Statistics"}},
      .groups = {{"", {}}}};
  std::map<std::string, std::string> names;
  for (const CheckpointRecord& c : results.checkpoints) names[c.hash] = c.name;
  const StatisticsByKey statistics = statistics_by_key(results);
  std::set<std::string> seen;
  for (const auto& placed : results.runs) {
    const RunRecord& run = placed.run;
    if (run.calibration.is_null()) continue;
    std::set<std::string> used;
    for (const std::string& key : run.statistics)
      if (const auto known = statistics.find(key); known != statistics.end())
        used.insert(parameters_text(known->second->parameters).empty()
                        ? known->second->name
                        : fmt::format("{} ({})", known->second->name,
                                      parameters_text(known->second->parameters)));
    const std::string split = field(run.calibration, "split");
    std::vector<TableCell> cells{{.text = placed.placement.row, .tag = placed.placement.variant},
                                 {.text = placed.placement.set},
                                 {.text = split, .warning = split == "test"},
                                 {.text = field(run.calibration, "examples")},
                                 {.text = field(run.calibration, "seed")},
                                 {.text = tasks_text(run, names)},
                                 {.text = used.empty() ? std::string(kNotAvailable)
                                                       : fmt::format("{}", fmt::join(used, ", "))}};
    std::string line;
    for (const TableCell& cell : cells) line += full_text(cell) + "\n";
    if (seen.insert(line).second) table.groups[0].rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace assay
