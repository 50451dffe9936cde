/// How scores depend on the size of expert sets, of models, and on the base, where a sweep has sets
/// that differ in them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

/// What sets may differ in. Values are in ascending order: numbers as numbers, names as text.
struct ScalingAxis {
  struct Value {
    std::string label;  ///< "3 experts", "0.6 M parameters", "base-more"
    double x = 0;       ///< the number; of names their place in the order
    std::vector<std::string> sets;
    bool contains(const TaskScore& score) const;
  };
  std::string key;    ///< "experts", "parameters" or "base"
  std::string title;  ///< "number of experts"
  bool logarithmic = false;
  std::vector<Value> values;  ///< at least two
};

/// Those along which the sweep's sets differ. A set's parameters are those of its base, without one
/// those of its first expert.
std::vector<ScalingAxis> scaling_axes(const Leaderboard& board);

/// The mean of the row's scores for which `wanted` holds, each of one task in one set; absent when
/// there is none.
std::optional<double> mean_score(const LeaderboardRow& row, const std::string& metric,
                                 const std::function<bool(const TaskScore&)>& wanted);

/// The points of charts: for each axis its values, and by metric the rows' means held-in and
/// held-out at each of them; null where a row has no score.
Json scaling_json(const Leaderboard& board);

}  // namespace assay
