#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/internal/format.h"
#include "reports/internal/tables.h"

namespace assay {
namespace {

TableCell text_cell(const std::string& text) {
  return {.text = text.empty() ? std::string(kNotAvailable) : text};
}

TableCell count_cell(int64_t count) {
  return {.text = fmt::format("{}", count), .sort = static_cast<double>(count)};
}

TableCell hash_cell(const std::string& hash) { return {.text = short_hash(hash), .note = hash}; }

TableCell need_cell(const Json& needs, const char* key) {
  const auto it = needs.find(key);
  if (it == needs.end() || it->is_null()) return text_cell("");
  return {.text = it->is_boolean()  ? (it->get<bool>() ? "yes" : "no")
                  : it->is_string() ? it->get<std::string>()
                                    : canonical(*it)};
}

TableCell experts_cell(const Json& needs) {
  const int64_t minimum = needs.value("min_experts", int64_t{1});
  const auto maximum = needs.find("max_experts");
  if (maximum == needs.end() || maximum->is_null())
    return text_cell(fmt::format("{} or more", minimum));
  const auto bound = maximum->get<int64_t>();
  return text_cell(minimum == bound ? fmt::format("{}", minimum)
                                    : fmt::format("{} to {}", minimum, bound));
}

// The most of the method's parameters that one grid of the sweep varied.
size_t tuned_count(const Leaderboard& board, const MethodRecord& method) {
  size_t most = 0;
  for (const LeaderboardRow& row : board.rows)
    if (row.method == method.name) most = std::max(most, row.tuned_parameters.size());
  return most;
}

std::string list_text(const Json& list) {
  if (!list.is_array()) return "";
  std::vector<std::string> names;
  for (const Json& entry : list)
    names.push_back(entry.is_string() ? entry.get<std::string>() : "?");
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string time_text(const SweepResults& results) {
  double merging = 0, evaluating = 0, shared = 0;
  for (const auto* placed : distinct_runs(results))
    for (const auto& [phase, cost] : placed->run.costs)
      (phase == "evaluation"   ? evaluating
       : phase == kSharedPhase ? shared
                               : merging) += cost.wall_s.value_or(0);
  const double all = merging + evaluating;
  if (all <= 0) return "";
  std::string text =
      fmt::format("{:.3g} s merging ({:.1f} %), {:.3g} s evaluating; sharing saved {:.3g} s",
                  merging, 100 * merging / all, evaluating, shared);
  double statistics = 0;
  for (const StatisticRecord& s : results.statistics) statistics += s.cost.wall_s.value_or(0);
  if (!results.statistics.empty())
    text += fmt::format("; {:.3g} s for {} statistics of the experts' data", statistics,
                        results.statistics.size());
  return text;
}

Table sweep_table(const SweepResults& results) {
  std::map<std::string, int> count;
  for (const auto* placed : distinct_runs(results)) {
    const bool grid = placed->placement.variant == "grid";
    count[grid ? fmt::format("{} (grid)", placed->run.split) : placed->run.split]++;
  }
  std::vector<std::string> runs;
  runs.reserve(count.size());
  for (const auto& [split, n] : count) runs.push_back(fmt::format("{} on {}", n, split));
  return {
      .id = "sweep",
      .title = "Sweep",
      .columns = {{"What"}, {"Value"}},
      .groups = {{"",
                  {{{.text = "Name"}, {.text = results.sweep.name}},
                   {{.text = "Hash of name and file"}, {.text = results.sweep.hash}},
                   {{.text = "Started"}, {.text = results.started_at}},
                   {{.text = "Finished"},
                    {.text = results.finished_at.empty() ? "not finished" : results.finished_at}},
                   {{.text = "Runs"}, text_cell(fmt::format("{}", fmt::join(runs, ", ")))},
                   {{.text = "Time spent"}, text_cell(time_text(results))},
                   {{.text = "Sweep file"}, {.text = canonical(results.sweep.config)}}}}}};
}

Table found_table(const SweepResults& results) {
  Table table{.id = "found",
              .title = "Files found by name",
              .intro = "The files and folders that names resolved to when the sweep was last run.",
              .columns = {{"What"}, {"Name"}, {"Path"}},
              .groups = {{"", {}}},
              .empty_text = "The version of Assay that ran the sweep did not record this."};
  for (const FoundName& found : results.sweep.found)
    table.groups[0].rows.push_back(
        {{.text = found.what}, {.text = found.name}, {.text = found.path}});
  return table;
}

Table sets_table(const SweepResults& results) {
  std::map<std::string, std::string> names;
  for (const CheckpointRecord& c : results.checkpoints) names[c.hash] = c.name;
  Table table{.id = "sets",
              .title = "Expert sets",
              .intro = "A task is held-in for a set when one of its experts was trained on it.",
              .columns = {{"Set"}, {"Experts"}, {"Held-in tasks"}, {"Held-out tasks"}},
              .groups = {{"", {}}}};
  for (const ExpertSetRecord& set : results.sweep.sets) {
    std::vector<std::string> experts, held_in, held_out;
    for (const std::string& hash : set.experts) experts.push_back(names[hash]);
    for (const SetTask& task : set.tasks) (task.held_in ? held_in : held_out).push_back(task.task);
    table.groups[0].rows.push_back({{.text = set.name},
                                    text_cell(fmt::format("{}", fmt::join(experts, ", "))),
                                    text_cell(fmt::format("{}", fmt::join(held_in, ", "))),
                                    text_cell(fmt::format("{}", fmt::join(held_out, ", ")))});
  }
  return table;
}

/// Items that the checkpoint was trained on in its last step; absent where none are recorded.
std::optional<int64_t> item_count(const Json& origin) {
  const auto examples = origin.find("examples");
  if (examples == origin.end() || !examples->is_object()) return std::nullopt;
  int64_t count = 0;
  for (const auto& [task, items] : examples->items()) count += items.get<int64_t>();
  return count;
}

TableCell optional_count_cell(std::optional<int64_t> count) {
  return count ? count_cell(*count) : text_cell("");
}

Table checkpoints_table(const SweepResults& results) {
  Table table{.id = "checkpoints",
              .title = "Checkpoints",
              .intro =
                  "Training costs are those recorded when the "
                  "checkpoint was made; – means that none are recorded.",
              .columns = {{"Name"},
                          {"Role"},
                          {"Content hash"},
                          {"Trained on"},
                          {"Pre-trained on"},
                          {"Starts from"},
                          {"Recipe hash"},
                          {"Training time", true, "", CostUnit::kSeconds},
                          {"Training FLOPs", true, "", CostUnit::kFlops},
                          {"Gradient steps", true},
                          {"Items of data", true, "of the tasks that it was trained on"},
                          {"Tokens", true, "of text, repeats included"},
                          {"Path"}},
              .groups = {{"", {}}}};
  for (const CheckpointRecord& c : results.checkpoints) {
    const Json origin = c.origin.is_object() ? c.origin : Json::object();
    const auto text = [&](const char* key) {
      const auto it = origin.find(key);
      return it != origin.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    // The base's pre-training data is printed in full; the experts inherit it.
    const auto list = [&](const char* key) {
      const Json names = origin.value(key, Json());
      constexpr size_t kMaxNamed = 3;
      if (c.role == "base" || names.size() <= kMaxNamed) return text_cell(list_text(names));
      return TableCell{.text = fmt::format("{} tasks", names.size()), .note = list_text(names)};
    };
    const Json cost = origin.value("cost", Json());
    const CostValues values = cost.is_object() ? cost_values(cost.get<Cost>()) : CostValues{};
    std::vector<TableCell> cells{{.text = c.name},
                                 {.text = c.role},
                                 hash_cell(c.hash),
                                 list("trained_on"),
                                 list("pretrained_on"),
                                 text_cell(text("init")),
                                 hash_cell(text("recipe_hash"))};
    for (const std::string_view key : {"wall_s", "flops", "gradient_steps"})
      for (size_t i = 0; i < values.size(); ++i)
        if (kCostFields[i].key == key)
          cells.push_back({.text = values[i] ? cost_text(values[i], kCostFields[i].unit)
                                             : std::string(kNotAvailable),
                           .sort = values[i],
                           .cost = values[i]});
    cells.push_back(optional_count_cell(item_count(origin)));
    cells.push_back(optional_count_cell(origin.contains("tokens")
                                            ? std::optional(origin.at("tokens").get<int64_t>())
                                            : std::nullopt));
    cells.push_back(text_cell(c.path));
    table.groups[0].rows.push_back(std::move(cells));
  }
  use_common_units(table);
  return table;
}

Table tasks_table(const SweepResults& results) {
  Table table{.id = "tasks",
              .title = "Tasks",
              .columns = {{"Task"},
                          {"Hash"},
                          {"Validation items", true},
                          {"Test items", true},
                          {"Definition"}},
              .groups = {{"", {}}}};
  for (const TaskRecord& task : results.tasks)
    table.groups[0].rows.push_back({{.text = task.name},
                                    hash_cell(task.hash),
                                    count_cell(task.validation_items),
                                    count_cell(task.test_items),
                                    {.text = canonical(task.definition)}});
  return table;
}

Table environments_table(const SweepResults& results) {
  Table table{
      .id = "environments",
      .title = "Environments",
      .intro = results.environments.size() > 1
                   ? "Runs were made in more than one environment: compare their times with "
                     "care."
                   : "",
      .columns = {{"Runs", true},
                  {"Device"},
                  {"Processor"},
                  {"Threads", true},
                  {"System"},
                  {"Assay revision"},
                  {"Compiler"},
                  {"LibTorch"},
                  {"Command line"}},
      .groups = {{"", {}}}};
  const auto distinct = distinct_runs(results);
  for (size_t i = 0; i < results.environments.size(); ++i) {
    const Environment& e = results.environments[i];
    const auto runs = std::count_if(distinct.begin(), distinct.end(),
                                    [&](const auto* placed) { return placed->environment == i; });
    table.groups[0].rows.push_back({count_cell(runs), text_cell(e.device), text_cell(e.cpu),
                                    count_cell(e.threads), text_cell(e.host_os),
                                    text_cell(e.git_revision), text_cell(e.compiler),
                                    text_cell(e.libtorch), text_cell(e.command_line)});
  }
  return table;
}

}  // namespace

Table requirements_table(const SweepResults& results, const Leaderboard& board) {
  Table table{.id = "requirements",
              .title = "Practical requirements",
              .intro = "What each method requires, as it declares.",
              .columns = {{"Method"},
                          {"Experts"},
                          {"Base"},
                          {"Calibration data"},
                          {"Labels"},
                          {"Gradients"},
                          {"Architecture"},
                          {"Same shapes"},
                          {"Same initialisation"},
                          {"Tokenizer"},
                          {"Output"},
                          {"Random"},
                          {"Parameters", true},
                          {"Of them tuned", true},
                          {"Paper"}},
              .groups = {{"", {}}}};
  for (const MethodRecord& method : results.methods) {
    const Json& needs = method.needs;
    table.groups[0].rows.push_back(
        {{.text = fmt::format("{} v{}", method.name, method.version), .note = method.summary},
         experts_cell(needs),
         need_cell(needs, "base"),
         need_cell(needs, "calibration_inputs"),
         need_cell(needs, "calibration_labels"),
         need_cell(needs, "gradients"),
         need_cell(needs, "architecture"),
         need_cell(needs, "same_shapes"),
         need_cell(needs, "same_initialization"),
         need_cell(needs, "tokenizer"),
         need_cell(needs, "output"),
         need_cell(needs, "randomized"),
         count_cell(static_cast<int64_t>(method.parameters.size())),
         count_cell(static_cast<int64_t>(tuned_count(board, method))),
         text_cell(method.paper)});
  }
  return table;
}

Table failures_table(const SweepResults& results) {
  Table table{
      .id = "failures",
      .title = "Failures and skips",
      .intro = "Every run without a result, and why.",
      .columns = {{"Model"}, {"Set"}, {"Status"}, {"Reason"}, {"Parameters"}, {"Seed", true}},
      .groups = {{"", {}}},
      .empty_text = "Every run of the sweep has a result."};
  for (const auto& placed : results.runs) {
    if (placed.run.status == RunStatus::kOk) continue;
    const auto& [set, row, variant] = placed.placement;
    table.groups[0].rows.push_back(
        {{.text = variant == "reference" ? row : fmt::format("{} ({})", row, variant)},
         {.text = set},
         {.text = run_status_name(placed.run.status)},
         {.text = placed.run.reason},
         {.text = canonical(placed.run.parameters)},
         {.text = fmt::format("{}", placed.run.seed),
          .sort = static_cast<double>(placed.run.seed)}});
  }
  return table;
}

std::vector<Table> provenance_tables(const SweepResults& results) {
  std::vector<Table> tables{sweep_table(results), found_table(results), sets_table(results),
                            checkpoints_table(results), tasks_table(results)};
  if (Table calibration = calibration_table(results); !calibration.empty())
    tables.push_back(std::move(calibration));
  if (Table plugins = plugins_table(results); !plugins.empty())
    tables.push_back(std::move(plugins));
  tables.push_back(environments_table(results));
  return tables;
}

}  // namespace assay
