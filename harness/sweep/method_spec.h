/// A row of a sweep file: one of its "methods". See docs/sweep-files.md.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/core/json.h"
#include "harness/method/info.h"
#include "harness/sweep/search_spec.h"

namespace assay {

/// The most cells that a sweep file may ask for.
inline constexpr int64_t kMostCells = 100'000;

/// Which data the methods of a row look at.
struct RowCalibration {
  CalibrationSpec spec{};
  /// Names and globs of the tasks whose examples every expert is run on; empty: its own tasks.
  std::vector<std::string> tasks{};
  std::string where{};  ///< of `tasks` in the file, for messages
};

/// A leaderboard row: one method with fixed parameters, and perhaps a grid or a search that tunes
/// others.
struct MethodSpec {
  std::string label;   ///< the row's name; "ties@tensor" unless the file gives another
  std::string method;  ///< "NAME" or "NAME@PRESET"
  Json parameters = Json::object();               ///< fixed ones
  std::map<std::string, std::vector<Json>> grid;  ///< values to try; empty: not tuned
  std::optional<SearchSpec> search{};             ///< instead of a grid
  bool searched_by_default = false;               ///< `search` is the method's own
  std::string where;                              ///< its place in the file, for messages
  /// What a method that looks at data is calibrated on: the sweep's, unless the row has its own.
  RowCalibration calibration{};
  bool own_calibration = false;

  /// Every combination of the grid on top of the fixed parameters, in a fixed order.
  std::vector<Json> grid_points() const;
  /// How many these are, at most 2^62.
  int64_t grid_size() const;
  /// How many candidates are scored to tune it for a set of so many experts; 0: it is not tuned.
  int64_t evaluations(size_t num_experts) const;
};

/// Whether a method with these needs is calibrated on data.
bool looks_at_data(const Needs& needs);

/// Reads a "calibration"; what it leaves out is as in `defaults`. UserError on unknown keys and on
/// values that are not allowed.
RowCalibration read_row_calibration(const JsonReader& json, const RowCalibration& defaults);

/// Reads a row: a method's name, or an object. `calibration`: the sweep's. UserError on unknown
/// methods, presets and parameters, on what cannot be tuned, and on grids of more than kMostCells
/// points.
MethodSpec read_method_spec(JsonReader reader, const RowCalibration& calibration);

}  // namespace assay
