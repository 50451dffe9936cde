#include "harness/kernels/assignment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr int64_t kNone = -1;

/// The state of Crouse's algorithm: dual variables and the matching so far.
class Assignment {
 public:
  /// `costs`: [n, n], row-major, to be minimised.
  Assignment(const double* costs, int64_t n)
      : costs_(costs),
        n_(n),
        row_dual_(static_cast<size_t>(n)),
        column_dual_(static_cast<size_t>(n)),
        distance_(static_cast<size_t>(n)),
        before_(static_cast<size_t>(n)),
        column_of_(static_cast<size_t>(n), kNone),
        row_of_(static_cast<size_t>(n), kNone) {}

  std::vector<int64_t> run() {
    for (int64_t row = 0; row < n_; ++row) augment(row);
    return column_of_;
  }

 private:
  /// Matches one more row, along the shortest path of alternating edges to a free column.
  void augment(int64_t row) {
    std::fill(distance_.begin(), distance_.end(), std::numeric_limits<double>::infinity());
    // The columns not reached yet. Backwards, so that the identity wins in a constant matrix.
    left_.resize(static_cast<size_t>(n_));
    for (int64_t i = 0; i < n_; ++i)
      left_[static_cast<size_t>(i)] = static_cast<int32_t>(n_ - i - 1);
    rows_.clear();
    columns_.clear();
    double shortest = 0;
    int64_t current = row, sink = kNone;
    while (sink == kNone) {
      rows_.push_back(current);
      const size_t place = nearest(current, shortest);
      const int64_t column = left_[place];
      shortest = distance_[static_cast<size_t>(column)];
      if (row_of_[static_cast<size_t>(column)] == kNone)
        sink = column;
      else
        current = row_of_[static_cast<size_t>(column)];
      columns_.push_back(column);
      left_[place] = left_.back();
      left_.pop_back();
    }
    row_dual_[static_cast<size_t>(row)] += shortest;
    for (size_t i = 1; i < rows_.size(); ++i) {
      const auto other = static_cast<size_t>(rows_[i]);
      row_dual_[other] += shortest - distance_[static_cast<size_t>(column_of_[other])];
    }
    for (const int64_t column : columns_)
      column_dual_[static_cast<size_t>(column)] -=
          shortest - distance_[static_cast<size_t>(column)];
    for (int64_t column = sink, changed = kNone; changed != row;) {
      changed = before_[static_cast<size_t>(column)];
      row_of_[static_cast<size_t>(column)] = changed;
      std::swap(column_of_[static_cast<size_t>(changed)], column);
    }
  }

  /// Brings the distances up to date with what goes through this row, `so_far` away; the place in
  /// `left_` of the nearest column, a free one where several are.
  size_t nearest(int64_t row, double so_far) {
    const double* costs = costs_ + row * n_;
    const double offset = so_far - row_dual_[static_cast<size_t>(row)];
    double lowest = std::numeric_limits<double>::infinity();
    size_t place = 0;
    for (size_t i = 0; i < left_.size(); ++i) {
      const auto column = static_cast<size_t>(left_[i]);
      const double through = costs[column] + offset - column_dual_[column];
      double& distance = distance_[column];
      if (through < distance) {
        distance = through;
        before_[column] = row;
      }
      if (distance < lowest || (distance == lowest && row_of_[column] == kNone)) {
        lowest = distance;
        place = i;
      }
    }
    return place;
  }

  const double* costs_;
  int64_t n_;
  std::vector<double> row_dual_, column_dual_, distance_;
  std::vector<int64_t> before_;  ///< the row by which each column was reached
  std::vector<int64_t> column_of_, row_of_;
  std::vector<int32_t> left_;  ///< half as wide as the others: it is read once for every entry
  std::vector<int64_t> rows_, columns_;
};

/// Replaces a row of scores by the distances from its best entry: small numbers keep their last
/// digits. False where they are not finite.
bool to_costs(double* row, int64_t n, Assign goal) {
  const double sign = goal == Assign::kMaximize ? -1 : 1;
  double lowest = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) lowest = std::min(lowest, sign * row[i]);
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    row[i] = sign * row[i] - lowest;
    finite &= row[i] <= std::numeric_limits<double>::max();
  }
  return finite;
}

}  // namespace

std::vector<int64_t> assign(const at::Tensor& scores, Assign goal, const std::string& what) {
  if (scores.dim() != 2 || scores.size(0) != scores.size(1))
    data_error("{}: units are matched by a matrix that is not square", what);
  at::Tensor costs = scores.to(at::kCPU, at::kDouble, false, /*copy=*/true).contiguous();
  const int64_t n = costs.size(0);
  double* values = costs.data_ptr<double>();
  for (int64_t row = 0; row < n; ++row)
    if (!to_costs(values + row * n, n, goal))
      data_error("{}: units are matched by a matrix that has NaN or infinity", what);
  return Assignment(values, n).run();
}

}  // namespace assay
