/// Costs of leaderboard rows, and the list of cost fields.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/cost.h"
#include "results/store.h"

namespace assay {

enum class CostUnit { kSeconds, kBytes, kFlops, kCount };

struct CostField {
  std::string_view key;  ///< the key in Cost's JSON form
  std::string_view title;
  CostUnit unit;
  bool is_peak;  ///< averages take the maximum
  /// For an own peak: the key of the peak of the whole process.
  std::string_view whole = {};
};

inline constexpr std::array<CostField, 12> kCostFields{{
    {"wall_s", "Wall time", CostUnit::kSeconds, false},
    {"cpu_s", "CPU time", CostUnit::kSeconds, false},
    {"device_s", "Device time", CostUnit::kSeconds, false},
    {"own_peak_rss_bytes", "Own peak memory", CostUnit::kBytes, true, "peak_rss_bytes"},
    {"own_peak_device_bytes", "Own peak device memory", CostUnit::kBytes, true,
     "peak_device_bytes"},
    {"peak_rss_bytes", "Peak process memory", CostUnit::kBytes, true},
    {"peak_device_bytes", "Peak device memory of the process", CostUnit::kBytes, true},
    {"flops", "FLOPs", CostUnit::kFlops, false},
    {"bytes_read", "Bytes read", CostUnit::kBytes, false},
    {"bytes_written", "Bytes written", CostUnit::kBytes, false},
    {"examples", "Examples", CostUnit::kCount, false},
    {"gradient_steps", "Gradient steps", CostUnit::kCount, false},
}};

/// The fields that have a column in tables. The peak of the whole process is a note of the own
/// peak.
std::vector<CostField> shown_costs();

/// One value per entry of kCostFields; absent when it could not be measured.
using CostValues = std::array<std::optional<double>, kCostFields.size()>;

/// All values are absent when no such work was done or measured.
struct RowCosts {
  /// Statistics that a method collects before it merges, in its own run or shared: mean over runs.
  CostValues statistics{};
  /// The statistics of the experts' data that the method used, computed once for all methods and
  /// charged in full to each: mean over runs.
  CostValues calibration{};
  CostValues merge{};  ///< merging, statistics and calibration included: mean over runs
  /// All phases of all runs of the grid, and statistics that only they used: sum per set, mean over
  /// sets.
  CostValues tuning{};
  CostValues total{};       ///< merge and, of tuned rows, tuning
  CostValues evaluation{};  ///< on the test split: mean over runs
  /// Evaluation's operations as a multiple of one model's, the mean of the single experts: how much
  /// larger a wider network or an ensemble is.
  std::optional<double> relative_flops{};
  bool tuned = false;
  /// Bytes of these statistics, which are shipped in place of an expert's data: mean over runs and
  /// experts; absent where there are none.
  std::optional<double> shipped_bytes{};
};

/// The statistics of a sweep, by key.
using StatisticsByKey = std::map<std::string, const StatisticRecord*>;
StatisticsByKey statistics_by_key(const SweepResults& results);

/// `runs`: the row's successful test runs. `grid_by_set`: the validation runs that chose its
/// parameters; empty for rows that are not tuned. Peaks are always combined by their maximum.
RowCosts row_costs(const std::vector<const RunRecord*>& runs,
                   const std::vector<std::vector<const RunRecord*>>& grid_by_set,
                   const StatisticsByKey& statistics = {});

/// The value of the field with that key.
std::optional<double> cost_value(const CostValues& values, std::string_view key);

/// The fields of one cost.
CostValues cost_values(const Cost& cost);

}  // namespace assay
