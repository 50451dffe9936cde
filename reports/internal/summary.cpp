#include "reports/internal/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"

namespace assay {
namespace {

using Names = std::vector<std::string>;

std::string list(const Names& names) { return fmt::format("{}", fmt::join(names, ", ")); }

// 1 when the difference is significantly better, -1 when worse, 0 when its interval contains 0.
int verdict(const std::string& metric, const Interval& difference) {
  const int sign = lower_is_better(metric) ? -1 : 1;
  if (difference.low > 0) return sign;
  return difference.high < 0 ? -sign : 0;
}

const LeaderboardRow* best_row(const Leaderboard& board) {
  for (const LeaderboardRow& row : board.rows)
    if (row.label() == board.best) return &row;
  return nullptr;
}

std::string best_sentence(const Leaderboard& board, const LeaderboardRow& best) {
  const Estimate& e = best.scores.at(board.primary()).held_in;
  const char* unit = is_fraction(board.primary()) ? " %" : "";
  std::string text = fmt::format("Best merging row by held-in {}: {}, {}{}", board.primary_text(),
                                 best.label(), estimate_text(e), unit);
  if (e.ci) text += " (± over test items, 95 %)";
  if (e.spread) text += fmt::format("; over sets and seeds {}{}", range_text(e), unit);
  if (best.partial()) text += "; some of its runs have no result";
  if (best.is_transductive()) text += "; transductive: it looked at the inputs of the test split";
  return text + ".";
}

// The paired tests of the other rows against the best.
void add_ties(const Leaderboard& board, Names& sentences) {
  Names tied, better, untested;
  size_t worse = 0;
  for (const LeaderboardRow& row : board.rows)
    for (const Comparison& c : row.comparisons) {
      if (c.against != board.best || row.needs_task_name) continue;
      if (!c.held_in.ci)
        untested.push_back(row.label());
      else if (const int v = verdict(board.primary(), *c.held_in.ci); v == 0)
        tied.push_back(row.label());
      else if (v > 0)
        better.push_back(row.label());
      else
        ++worse;
    }
  if (!tied.empty())
    sentences.push_back(fmt::format(
        "Tied with it: a 95 % paired test on the same items finds no difference: {}.", list(tied)));
  if (worse > 0)
    sentences.push_back(fmt::format("Significantly worse by that test: {} other row{}.", worse,
                                    worse == 1 ? "" : "s"));
  if (!better.empty())
    sentences.push_back(fmt::format("Better on the common sets, but partial: {}.", list(better)));
  if (!untested.empty())
    sentences.push_back(
        fmt::format("Not tested, as outcomes or common sets are missing: {}.", list(untested)));
}

void add_worse_than_base(const Leaderboard& board, Names& sentences) {
  constexpr size_t kMaxNamed = 3;  // when all are worse
  bool any_base = false;
  for (const bool held_in : {true, false}) {
    Names worse;
    size_t tested = 0;
    for (const LeaderboardRow& row : board.rows) {
      if (!row.with_base || row.needs_task_name) continue;
      const Estimate& e = held_in ? row.with_base->held_in : row.with_base->held_out;
      if (!e.ci) continue;
      ++tested;
      if (verdict(board.primary(), *e.ci) < 0) worse.push_back(row.label());
    }
    any_base |= tested > 0;
    const char* kind = held_in ? "held-in" : "held-out";
    if (worse.size() > kMaxNamed && worse.size() == tested)
      sentences.push_back(fmt::format(
          "Worse than the base on {} tasks: all {} merging rows tested.", kind, tested));
    else if (!worse.empty())
      sentences.push_back(fmt::format("Worse than the base on {} tasks: {}.", kind, list(worse)));
    else if (tested > 0)
      sentences.push_back(
          fmt::format("No merging row is significantly worse than the base on {} tasks.", kind));
  }
  if (!any_base) sentences.push_back("No merging row could be tested against the base.");
}

void add_models_per_task(const Leaderboard& board, Names& sentences) {
  Names rows;
  for (const LeaderboardRow& row : board.rows)
    if (const Estimate& e = row.scores.at(board.primary()).held_in; row.needs_task_name && e.value)
      rows.push_back(fmt::format("{} {}{}", row.label(), estimate_text(e),
                                 is_fraction(board.primary()) ? " %" : ""));
  if (!rows.empty())
    sentences.push_back(fmt::format(
        "Not ranked with these, as a model per task needs the task's name: {}.", list(rows)));
}

struct TuningTime {
  double seconds = 0;   // mean over sets
  bool shared = false;  // some runs were already counted for another row
};

// The tuning time of the row's runs that are not yet in `counted` (by set).
TuningTime added_tuning(const SweepResults& results, const LeaderboardRow& row,
                        std::set<std::pair<std::string, std::string>>& counted) {
  TuningTime time;
  std::set<std::string> sets;
  for (const auto& [placement, run, environment] : results.runs) {
    if (placement.row != row.name || placement.variant != "grid" || run.costs.empty()) continue;
    sets.insert(placement.set);
    if (!counted.emplace(placement.set, run.key).second)
      time.shared = true;
    else
      for (const auto& [phase, cost] : run.costs) time.seconds += cost.wall_s.value_or(0);
  }
  if (!sets.empty()) time.seconds /= static_cast<double>(sets.size());
  return time;
}

void add_tuning(const SweepResults& results, const Leaderboard& board, Names& sentences) {
  std::set<std::pair<std::string, std::string>> counted;
  bool shared = false;
  double sum = 0;
  int rows = 0, known = 0;
  const LeaderboardRow* dearest = nullptr;
  for (const LeaderboardRow& row : board.rows) {
    if (!row.costs.tuned) continue;
    ++rows;
    const auto& wall = row.costs.tuning[0];
    if (!wall) continue;
    ++known;
    const TuningTime added = added_tuning(results, row, counted);
    sum += added.seconds;
    shared |= added.shared;
    if (!dearest || *wall > *dearest->costs.tuning[0]) dearest = &row;
  }
  if (rows == 0) return;
  if (!dearest) {
    sentences.push_back(fmt::format("The cost of tuning the {} tuned rows is unknown.", rows));
    return;
  }
  std::string text =
      fmt::format("Tuning {} row{} took {} per expert set, longest for {} ({})", known,
                  known == 1 ? "" : "s", cost_text(sum, CostUnit::kSeconds), dearest->label(),
                  cost_text(dearest->costs.tuning[0], CostUnit::kSeconds));
  if (known == 1)
    text = fmt::format("Tuning {} took {} per expert set", dearest->label(),
                       cost_text(sum, CostUnit::kSeconds));
  if (shared) text += "; runs shared by several rows are counted once";
  if (known < rows) text += fmt::format("; the cost of {} more is unknown", rows - known);
  sentences.push_back(text + ".");
}

void add_edges(const Leaderboard& board, Names& sentences) {
  Names choices;
  for (const LeaderboardRow& row : board.rows) {
    std::set<std::string> names;
    for (const Configuration& c : row.configurations)
      names.insert(c.on_edge.begin(), c.on_edge.end());
    if (!names.empty()) choices.push_back(fmt::format("{}: {}", row.name, fmt::join(names, ", ")));
  }
  if (!choices.empty())
    sentences.push_back(
        fmt::format("Tuned to the edge of the grid, better values may be outside it: {}.",
                    fmt::join(choices, "; ")));
}

void add_without_result(const SweepResults& results, const Leaderboard& board, Names& sentences) {
  size_t failed = 0, skipped = 0;
  const auto runs = distinct_runs(results);
  for (const auto* placed : runs) {
    failed += placed->run.status == RunStatus::kFailed;
    skipped += placed->run.status == RunStatus::kSkipped;
  }
  const bool finished = !results.finished_at.empty();
  if (failed + skipped > 0)
    sentences.push_back(fmt::format("Of {} runs{} {} failed and {} were skipped.", runs.size(),
                                    finished ? "" : " so far", failed, skipped));
  else if (finished)
    sentences.push_back(fmt::format("All {} runs have a result.", runs.size()));
  else
    sentences.push_back(
        fmt::format("All {} results so far are without a failure or a skip.", runs.size()));
  Names partial;
  for (const LeaderboardRow& row : board.rows)
    if (row.partial()) partial.push_back(row.label());
  if (!partial.empty())
    sentences.push_back(fmt::format(
        "Partial rows, whose means are over fewer runs and not directly comparable: {}.",
        list(partial)));
}

}  // namespace

std::vector<std::string> summary(const SweepResults& results, const Leaderboard& board) {
  Names sentences;
  if (results.finished_at.empty())
    sentences.emplace_back(
        "The sweep is not finished: rows may be missing, and numbers may change.");
  const LeaderboardRow* best = best_row(board);
  if (best && best->scores.at(board.primary()).held_in.value) {
    sentences.push_back(best_sentence(board, *best));
    add_ties(board, sentences);
    add_worse_than_base(board, sentences);
  } else {
    sentences.push_back("No merging row has a held-in score.");
  }
  add_models_per_task(board, sentences);
  add_tuning(results, board, sentences);
  add_edges(board, sentences);
  add_without_result(results, board, sentences);
  return sentences;
}

}  // namespace assay
