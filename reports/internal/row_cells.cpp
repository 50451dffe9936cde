#include "reports/internal/row_cells.h"

#include "reports/internal/format.h"

namespace assay {

TableCell estimate_cell(const Estimate& estimate) {
  return {.text = estimate_text(estimate),
          .sort = estimate.value,
          .note = estimate.ci ? "95 %: " + ci_text(estimate) : "",
          .mark = estimate};
}

TableCell plain_estimate_cell(const Estimate& estimate) {
  TableCell cell = estimate_cell(estimate);
  cell.mark.reset();
  return cell;
}

TableCell name_cell(const LeaderboardRow& row) {
  return {.text = row.name, .tag = row.variant == "reference" ? "" : row.variant};
}

std::string group_of(const LeaderboardRow& row) {
  if (row.is_merge()) return "Merging methods";
  return row.is_single_expert() ? "Single experts" : "References";
}

}  // namespace assay
