/// A statistic to compute, as plain data: it can be sent to another process, and its key is a hash
/// of everything that determines its bytes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/calibration/passes.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/core/json.h"
#include "harness/method/evidence.h"

namespace assay {

class StatisticFile;

struct StatisticJob {
  /// The checkpoint, as ModelRef of sweeps.
  struct Model {
    std::string path;         ///< absolute
    std::string adapter;      ///< absolute; empty: none
    std::string hash;         ///< content hash of the weights, the adapter's included
    std::string computation;  ///< computation_hash()
  };
  struct OwnTask {
    std::string name, hash;
    TaskChanges changes{};
  };

  std::string statistic;
  Json parameters = Json::object();  ///< all of them
  int version = 1;
  Model model;
  std::vector<OwnTask> tasks;  ///< the model's own held-in tasks
  CalibrationSpec data;
  std::string device = "cpu";  ///< as parse_device() reads it

  std::string key() const;
  /// For progress and messages: "input_gram of out/models/x on digits/mnist-012".
  std::string describe() const;
};

void to_json(Json& json, const StatisticJob& job);
void from_json(const Json& json, StatisticJob& job);

/// The job for a statistic that a method lists. UserError on unknown names and parameters.
StatisticJob statistic_job(const StatisticRef& statistic, StatisticJob::Model model,
                           std::vector<StatisticJob::OwnTask> tasks, const CalibrationSpec& data,
                           const std::string& device = "cpu");

/// The same for an open model. DataError without a config.json.
StatisticJob statistic_job(const StatisticRef& statistic, const Checkpoint& model,
                           const std::vector<std::shared_ptr<const Task>>& tasks,
                           const CalibrationSpec& data, const std::string& device = "cpu");

/// What a job is computed from.
struct StatisticInputs {
  std::shared_ptr<const Checkpoint> model;
  std::vector<std::shared_ptr<const Task>> tasks;
  std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>();
  int64_t memory_bytes = 0;  ///< about how much the sums may take; 0: no limit
};

/// How the job is computed within that much memory (0: no limit).
StatisticPasses passes_of(const StatisticJob& job, const Architecture& architecture,
                          int64_t memory_bytes);

/// Where statistics are kept: ASSAY_STATISTICS_DIR, else out/statistics.
std::filesystem::path statistics_folder();
/// The job's file in it, whether it exists or not.
std::filesystem::path statistic_path(const StatisticJob& job);

/// The job's file: opened where it exists, else computed from what `inputs` returns and written. A
/// broken file is computed again, with a warning. Processes that want the same one wait for the
/// first. DataError when the model or a task is not what the job says; else as
/// CalibrationData and Statistic.
std::shared_ptr<const StatisticFile> compute_or_open(
    const StatisticJob& job, const std::function<StatisticInputs()>& inputs);
/// Computes it into `path` in any case.
std::shared_ptr<const StatisticFile> compute(const StatisticJob& job, const StatisticInputs& inputs,
                                             const std::filesystem::path& path);

}  // namespace assay
