#include "reports/internal/comparisons.h"

#include <fmt/ranges.h>

#include "harness/core/error.h"
#include "harness/core/metrics.h"

namespace assay {
namespace {

constexpr const char* kAverageMethod = "average";

// The best single merge, for the comparisons: complete rows first, then by held-in mean.
const LeaderboardRow* best_merge(const Leaderboard& board) {
  const LeaderboardRow* best = nullptr;
  for (const LeaderboardRow& row : board.rows)
    if (row.is_single_merge() && row.sets_used > 0 &&
        (!best || (best->partial() && !row.partial())))
      best = &row;
  return best;
}

const LeaderboardRow* average_row(const Leaderboard& board) {
  for (const LeaderboardRow& row : board.rows)
    if (row.method == kAverageMethod && row.variant == "default" && row.sets_used > 0) return &row;
  return nullptr;
}

// The row with that label, or the only row with that name.
const LeaderboardRow* chosen_baseline(const Leaderboard& board, const std::string& baseline) {
  std::vector<const LeaderboardRow*> named;
  std::vector<std::string> labels, labels_of_named;
  for (const LeaderboardRow& row : board.rows) {
    if (row.label() == baseline) return &row;
    labels.push_back(row.label());
    if (row.name != baseline) continue;
    named.push_back(&row);
    labels_of_named.push_back(row.label());
  }
  if (named.size() == 1) return named.front();
  if (named.empty()) throw UserError(unknown_name("row", baseline, "--baseline", labels));
  user_error("--baseline: several rows are named '{}': {}", baseline,
             fmt::join(labels_of_named, ", "));
}

const LeaderboardRow* base_row(const Leaderboard& board) {
  for (const LeaderboardRow& row : board.rows)
    if (row.kind == RunKind::kBase && row.sets_used > 0) return &row;
  return nullptr;
}

}  // namespace

void add_comparisons(const TermSource& source, const std::map<std::string, UsableRuns>& runs,
                     const std::string& chosen, Leaderboard& board) {
  const LeaderboardRow* best = best_merge(board);
  const LeaderboardRow* baseline =
      chosen.empty() ? average_row(board) : chosen_baseline(board, chosen);
  const LeaderboardRow* base = base_row(board);
  if (best) board.best = best->label();
  const auto compare = [&](const LeaderboardRow& row, const LeaderboardRow& against) {
    const auto gain = [&](bool held_in) {
      Estimate estimate =
          difference(source.scores(runs.at(row.label()), board.primary(), held_in),
                     source.scores(runs.at(against.label()), board.primary(), held_in));
      estimate.fraction = is_fraction(board.primary());
      return estimate;
    };
    return Comparison{against.label(), gain(true), gain(false)};
  };
  for (LeaderboardRow& row : board.rows) {
    if (!row.is_merge() || row.sets_used == 0) continue;
    for (const LeaderboardRow* against : {best, baseline == best ? nullptr : baseline})
      if (against && &row != against) row.comparisons.push_back(compare(row, *against));
    if (base) row.with_base = compare(row, *base);
  }
}

}  // namespace assay
