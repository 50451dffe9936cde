#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"

namespace assay {
namespace {

/// What the routers of a model did with one task: means over the routers that chose anything.
struct Routed {
  std::vector<double> shares;  ///< of each expert or member
  double entropy = 0;          ///< over the largest that so many experts could have
  int64_t decisions = 0;
};

double relative_entropy(const std::vector<double>& shares) {
  double entropy = 0;
  for (const double share : shares)
    if (share > 0) entropy -= share * std::log(share);
  return shares.size() > 1 ? entropy / std::log(static_cast<double>(shares.size())) : 1;
}

Routed means_of(const RouterDecisions& decisions) {
  Routed routed;
  double routers = 0;
  for (const auto& [unused, counts] : decisions) {
    const int64_t all = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    if (all == 0) continue;
    std::vector<double> shares;
    for (const int64_t count : counts)
      shares.push_back(static_cast<double>(count) / static_cast<double>(all));
    routed.entropy += relative_entropy(shares);
    routed.shares.resize(std::max(routed.shares.size(), shares.size()));
    for (size_t i = 0; i < shares.size(); ++i) routed.shares[i] += shares[i];
    routed.decisions += all;
    ++routers;
  }
  routed.entropy /= routers;
  for (double& share : routed.shares) share /= routers;
  return routed;
}

}  // namespace

Table routing_table(const Leaderboard& board) {
  Table table{.id = "routing",
              .title = "Where routers send tokens and prompts",
              .intro =
                  "Choices of experts for the tokens of each task, means over the routers of a "
                  "mixture; of a routed ensemble, choices of members for the prompts of each task, "
                  "each different prompt once. Entropy: 1 where all are chosen alike. Shares are "
                  "those of all choices, whatever the weights: of experts in their order, of "
                  "members with their names. They are added up over runs; an answer that was known "
                  "already counts nowhere.",
              .columns = {{"Model", false, ""},
                          {"Task", false, ""},
                          {"Choices", true, "", CostUnit::kCount},
                          {"Entropy", true, ""},
                          {"Shares", false, "%"}},
              .groups = {},
              .names = 2};
  for (const LeaderboardRow& row : board.rows)
    for (const std::string& task : board.tasks) {
      const auto found = row.routing.tasks.find(task);
      if (found == row.routing.tasks.end()) continue;
      const Routed routed = means_of(found->second);
      if (routed.decisions == 0) continue;
      if (table.groups.empty() || table.groups.back().title != group_of(row))
        table.groups.push_back({group_of(row), {}});
      std::string shares;
      const std::vector<std::string>& members = row.routing.members;
      for (size_t i = 0; i < routed.shares.size(); ++i)
        shares += fmt::format("{}{}{:.1f}", shares.empty() ? "" : " · ",
                              i < members.size() ? members[i] + " " : "", 100 * routed.shares[i]);
      const auto decisions = static_cast<double>(routed.decisions);
      table.groups.back().rows.push_back(
          {name_cell(row),
           {.text = task},
           {.text = cost_text(decisions, CostUnit::kCount), .sort = decisions},
           {.text = fmt::format("{:.3f}", routed.entropy), .sort = routed.entropy},
           {.text = std::move(shares)}});
    }
  use_common_units(table);
  return table;
}

}  // namespace assay
