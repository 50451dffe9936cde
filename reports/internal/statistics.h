/// Means over tasks with confidence intervals, and the Pareto front.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace assay {

struct Interval {
  double low = 0, high = 0;
};

/// A mean with its uncertainty, where known. All values are absent when nothing was measured.
struct Estimate {
  std::optional<double> value;
  std::optional<Interval> ci;      ///< 95 %; absent when some per-item outcomes are not known
  std::optional<Interval> spread;  ///< minimum and maximum of the runs (sets and seeds)
  bool fraction = true;            ///< shown in %; else as it is
};

/// One task's term in a run's mean: its value and its per-item outcomes. See ratio_term() for the
/// items of a normalised score.
struct TaskTerm {
  std::string task;
  double value = 0;
  std::vector<double> items;
};

/// One run: its mean is the unweighted mean of the tasks' values.
using RunTerms = std::vector<TaskTerm>;

/// A leaderboard row: its runs by expert set, one per seed. The row's value is the mean over sets
/// of the mean over the set's runs.
using RowTerms = std::map<std::string, std::vector<RunTerms>>;

/// The row's value with a 95 % interval.
///
/// With S sets, R_s runs of set s and K_s tasks in it, the outcome y of an item of task t in run r
/// of set s has the weight w = 1 / (S R_s K_s). All outcomes of one item, whatever set and seed
/// they come from, are summed to z_ti = sum of w y, because they are not independent. Then
///   standard error^2 = sum over t of var_i(z_ti) / n_t      (var: sample variance, n_t - 1)
/// and the interval is value +- 1.96 standard errors. Tasks are strata: they, the expert sets and
/// the seeds are taken as given, only the items as a random sample. With one set and one seed this
/// is the usual sqrt(sum of s_t^2 / n_t) / K. A task with one item has no interval.
Estimate estimate(const RowTerms& row);

/// The paired difference a - b on the same items and common sets: the same formula with negative
/// weights for b, so that common successes and failures cancel. `spread` is the range of the sets'
/// differences.
Estimate difference(const RowTerms& a, const RowTerms& b);

/// The term of score / reference on the same items, r = A / B with means A and B. Its items are the
/// linearised (a_i - r b_i) / B (delta method), so the interval accounts for both models being
/// scored on the same items: a model divided by itself is exactly 1. Items are empty when those of
/// one side are not known.
TaskTerm ratio_term(const TaskTerm& score, const TaskTerm& reference);

/// A point with a quality (higher is better) and a cost (lower is better).
struct OperatingPoint {
  double quality = 0, cost = 0;
};

/// Indices of the non-dominated points: no other point is at least as good in both and better in
/// one. In ascending order of cost; equal points are all kept.
std::vector<size_t> pareto_front(const std::vector<OperatingPoint>& points);

}  // namespace assay
