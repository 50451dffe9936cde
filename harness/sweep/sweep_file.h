/// Sweep files: what to compare, as JSON. See docs/sweep-files.md.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/core/json.h"
#include "harness/method/info.h"
#include "harness/sweep/search_spec.h"
#include "harness/task/task.h"

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

/// Experts that are merged together: one replicate of the comparison.
struct ExpertSet {
  std::string name;
  std::optional<std::string> base;       ///< model name: its own, or the sweep's
  std::vector<std::string> experts;      ///< model names
  std::optional<std::string> multitask;  ///< model name of the multitask reference
};

/// Reference rows that a sweep file may leave out or add; the base, the experts, the best of them
/// and the multitask model are part of every sweep.
enum class Reference {
  kEnsemble,
  kLogitEnsemble,
  kProbabilityEnsemble,
  kMajorityVote,
  kOracleExpert  ///< each task's own expert: what a model per task can reach
};
/// The row's name, as in the file: "ensemble", "ensemble of logits", ...
std::string reference_name(Reference reference);

struct SweepFile {
  std::string name;
  std::filesystem::path path;
  std::string given_name;  ///< of the file, before it was looked up
  Json json;               ///< as read
  /// The recipe whose checkpoints the model names are; absent: they are paths of checkpoint
  /// folders, relative to the sweep file.
  std::optional<std::filesystem::path> recipe;
  std::vector<ExpertSet> sets;
  /// For checkpoints not made by Assay: which tasks a model was trained on, by model name.
  std::map<std::string, std::vector<std::string>> trained_on;
  std::vector<TaskPattern> tasks;  ///< TaskChanges::chat as the file names the model
  bool held_in_only = false;       ///< rows of a set are scored on its held-in tasks alone
  RowCalibration calibration;      ///< of the rows that have none of their own
  std::vector<MethodSpec> methods;
  std::vector<MethodSpec> left_out{};  ///< rows of the file that keep_only() took away
  std::vector<uint64_t> seeds;
  std::vector<Reference> references{Reference::kEnsemble, Reference::kOracleExpert};

  /// UserError naming the place in the file on anything wrong with it: unknown keys, methods,
  /// presets and parameters, values out of range, double names, more than kMostCells cells. No
  /// checkpoint or data is touched. `given_name`: what the user called the file; empty: its path.
  static SweepFile read(const std::filesystem::path& path, const std::string& given_name = "");
};

/// Whether a method with these needs is calibrated on data.
bool looks_at_data(const Needs& needs);

/// The file or folder that a name in a sweep file means: relative to the file, then as find_file()
/// has it, with links followed. Says so when the current folder has another one of that name.
std::filesystem::path named_by(const std::filesystem::path& sweep_file, const std::string& name);

/// Leaves the method rows out whose label does not match the glob; references stay. UserError when
/// none does.
void keep_only(SweepFile& sweep, const std::string& glob);

}  // namespace assay
