#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "reports/internal/format.h"
#include "reports/internal/renderers.h"

namespace assay {
namespace {

class Line {
 public:
  void text(std::string_view field) {
    line_ += fmt::format("{}{}", first_ ? "" : ",", escape_csv(field));
    first_ = false;
  }
  // Shortest digits that read back as the same number; an absent value is an empty field.
  void number(const std::optional<double>& value) { text(value ? fmt::format("{}", *value) : ""); }
  void estimate(const Estimate& e) {
    number(e.value);
    number(e.ci ? std::optional(e.ci->low) : std::nullopt);
    number(e.ci ? std::optional(e.ci->high) : std::nullopt);
    number(e.spread ? std::optional(e.spread->low) : std::nullopt);
    number(e.spread ? std::optional(e.spread->high) : std::nullopt);
  }
  std::string take() { return line_ + "\r\n"; }

 private:
  std::string line_;
  bool first_ = true;
};

std::string header(bool per_set) {
  Line line;
  for (const char* name : {"row", "variant", "kind", "method", "preset", "metric", "sets_used",
                           "sets_total", "runs_ok", "runs_total"})
    line.text(name);
  for (const char* name : {"held_in", "held_out", "held_in_normalised", "held_out_normalised"})
    for (const char* part : {"", "_ci_low", "_ci_high", "_min", "_max"})
      line.text(std::string(name) + part);
  for (const char* phase : {"statistics", "merge", "tuning", "evaluation", "calibration"})
    for (const CostField& field : kCostFields) line.text(fmt::format("{}_{}", phase, field.key));
  for (const char* name : {"shipped_bytes", "calibration_splits"}) line.text(name);
  line.text("search");
  line.text("evaluations");
  line.text("needs_task_name");
  line.text("task_bytes");
  if (per_set) line.text("set");
  return line.take();
}

// The fields that identify a line's row, before the numbers.
Line begin(const LeaderboardRow& row, const std::string& metric) {
  Line line;
  for (const std::string& field :
       {row.name, row.variant, run_kind_name(row.kind), row.method, row.preset, metric})
    line.text(field);
  return line;
}

std::string calibration_splits(const LeaderboardRow& row) {
  std::set<std::string> splits;
  for (const Json& calibration : row.calibrations) splits.insert(calibration.value("split", ""));
  return fmt::format("{}", fmt::join(splits, " "));
}

void add_scores(const RowScores& s, Line& line) {
  for (const Estimate* e : {&s.held_in, &s.held_out, &s.held_in_normalised, &s.held_out_normalised})
    line.estimate(*e);
}

// A row's scores in one set. Its costs and counts are in the row's own line.
std::string set_line(const LeaderboardRow& row, const std::string& metric, const std::string& set,
                     const RowScores& scores) {
  constexpr size_t kCounts = 4, kPhases = 5, kOtherFields = 6;
  Line line = begin(row, metric);
  for (size_t i = 0; i < kCounts; ++i) line.text("");
  add_scores(scores, line);
  for (size_t i = 0; i < kPhases * kCostFields.size() + kOtherFields; ++i) line.text("");
  line.text(set);
  return line.take();
}

}  // namespace

std::string report_csv(const Leaderboard& board) {
  const bool per_set = std::any_of(board.rows.begin(), board.rows.end(),
                                   [](const auto& row) { return !row.by_set.empty(); });
  std::string csv = header(per_set);
  for (const LeaderboardRow& row : board.rows)
    for (const std::string& metric : board.metrics) {
      Line line = begin(row, metric);
      for (const int count : {row.sets_used, row.sets_total, row.runs_ok, row.runs_total})
        line.number(count);
      add_scores(row.scores.at(metric), line);
      for (const CostValues* values : {&row.costs.statistics, &row.costs.merge, &row.costs.tuning,
                                       &row.costs.evaluation, &row.costs.calibration})
        for (const auto& value : *values) line.number(value);
      line.number(row.costs.shipped_bytes);
      line.text(calibration_splits(row));
      line.text(row.search);
      line.number(row.grid_points > 0 ? std::optional<double>(row.grid_points) : std::nullopt);
      line.number(row.needs_task_name);
      line.number(row.task_bytes);
      if (per_set) line.text("");
      csv += line.take();
      if (const auto of_metric = row.by_set.find(metric); of_metric != row.by_set.end())
        for (const auto& [set, scores] : of_metric->second)
          csv += set_line(row, metric, set, scores);
    }
  return csv;
}

}  // namespace assay
