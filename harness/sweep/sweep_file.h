/// Sweep files: what to compare, as JSON. See docs/sweep-files.md.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/sweep/method_spec.h"
#include "harness/task/task.h"

namespace assay {

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

/// The file or folder that a name in a sweep file means: relative to the file, then as find_file()
/// has it, with links followed. Says so when the current folder has another one of that name.
std::filesystem::path named_by(const std::filesystem::path& sweep_file, const std::string& name);

/// Leaves the method rows out whose label does not match the glob; references stay. UserError when
/// none does.
void keep_only(SweepFile& sweep, const std::string& glob);

}  // namespace assay
