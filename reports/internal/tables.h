/// The report's tables as plain values, which HTML, Markdown and the terminal only render.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

struct TableCell {
  std::string text;
  std::string tag = {};             ///< "default" or "tuned" after a row's name
  std::optional<double> sort = {};  ///< sort key of a numeric column; absent values come last
  std::string note = {};            ///< shown next to the text: "2 of 3 sets", a full hash
  std::optional<Estimate> mark =
      {};  ///< drawn as a point with its interval, where drawing is possible
  std::optional<double> heat = {};  ///< in [0, 1]: shade of a heat map
  bool outlined = false;            ///< a held-in cell of a heat map
  bool warning = false;             ///< highlighted as a caveat
  bool best = false;                ///< the best of its column, shown bold
  std::optional<double> cost = {};  ///< shown in the column's common unit by use_common_units()
};

/// "ties (tuned)": the text with its tag.
std::string full_text(const TableCell& cell);

struct Column {
  std::string title;
  bool numeric = false;
  std::string hint = {};              ///< explains the numbers
  std::optional<CostUnit> unit = {};  ///< of a column of costs
};

struct RowGroup {
  std::string title;  ///< empty when the table has only one
  std::vector<std::vector<TableCell>> rows;
};

/// The first column names the row, as does the second where `names` is 2.
struct Table {
  std::string id = {}, title = {}, intro = {};
  std::vector<Column> columns = {};
  std::vector<RowGroup> groups = {};
  std::string empty_text = "None.";
  size_t names = 1;
  bool empty() const;
};

/// A heat map of one metric: one expert set, or all of them.
struct HeatMap {
  std::string metric, view;  ///< view: its name in the selector
  Table table;
};

/// Formats each column of costs in one unit, which is added to its title.
void use_common_units(Table& table);

Table leaderboard_table(const Leaderboard& board, const std::string& metric);
/// Every task's primary score and the mean of relative scores, of a board with mixed kinds.
Table mixed_leaderboard_table(const Leaderboard& board);
/// The one with mixed kinds, or one for each metric.
std::vector<Table> leaderboard_tables(const Leaderboard& board);
/// Scores in each expert set; empty unless requested.
Table per_set_table(const Leaderboard& board, const std::string& metric);
Table comparison_table(const Leaderboard& board);
Table cost_table(const Leaderboard& board);
/// How large the models are; empty where no run says so.
Table size_table(const Leaderboard& board);
/// Where mixtures' routers send the tokens of each task; empty where no run says so.
Table routing_table(const Leaderboard& board);
Table configuration_table(const Leaderboard& board);
/// Scores that could not be normalised; empty when all could.
Table unnormalised_table(const Leaderboard& board);
/// Per metric: every set, then the means over sets of held-in and of held-out cells.
std::vector<HeatMap> heat_maps(const Leaderboard& board);

Table requirements_table(const SweepResults& results, const Leaderboard& board);
Table failures_table(const SweepResults& results);
/// Which data the runs were calibrated on.
Table calibration_table(const SweepResults& results);
/// What came from plugins; empty when nothing did.
Table plugins_table(const SweepResults& results);
/// The sweep itself, its sets, checkpoints, tasks and environments.
std::vector<Table> provenance_tables(const SweepResults& results);

/// Term and definition: what the numbers mean and which split chose what.
std::vector<std::pair<std::string, std::string>> definitions();

}  // namespace assay
