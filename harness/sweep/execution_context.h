/// What running cells keeps from one cell to the next.
#pragma once

#include <c10/core/Device.h>

#include <map>
#include <memory>
#include <string>

#include "harness/calibration/statistic_file.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/lm/token_cache.h"
#include "harness/model/layers_of.h"
#include "harness/sweep/cache_memory.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/internal/held_examples.h"
#include "harness/task/task.h"

namespace assay {

class DeviceCache;

/// The open checkpoints, buffers and caches that the cells of a sweep share. Results do not depend
/// on it. Whoever runs cells owns one: an executor, a worker process, `assay eval`. It runs one
/// cell at a time. It must end before the libraries of its devices do, so it is no static object.
class ExecutionContext {
 public:
  explicit ExecutionContext(CacheBudget budget = {});
  ~ExecutionContext();
  ExecutionContext(const ExecutionContext&) = delete;
  ExecutionContext& operator=(const ExecutionContext&) = delete;

  /// The model's checkpoint, which stays mapped while its files stay as they are. DataError when
  /// its weights are not those that the cell was planned with.
  std::shared_ptr<const Checkpoint> open(const ModelRef& model);
  /// What passes without weights show of architectures, for all cells.
  const std::shared_ptr<ForwardProfiles>& profiles() const { return profiles_; }
  /// What merges on the device share.
  DeviceCache& on(at::Device device);
  /// DataError when its definition or data are not those that the work was planned with.
  static std::shared_ptr<const Task> task(const TaskRef& ref);
  /// The job's statistic: from its file, which is made when it is not there, and stays open.
  std::shared_ptr<const StatisticFile> statistic(const StatisticJob& job);
  /// The examples of one expert of a merge that looks at data. The latest are kept.
  std::shared_ptr<const CalibrationData> examples(const Cell& cell, size_t expert);
  /// Takes what keeps examples out of what merges share, which is dropped. Before a merge that
  /// looks at data; once is enough.
  void keep_examples();
  const std::shared_ptr<TokenCache>& tokens() const { return tokens_; }

 private:
  struct OpenCheckpoint {
    std::shared_ptr<const Checkpoint> checkpoint;
    std::string stamp;  ///< Checkpoint::stamp() as it was opened
  };

  CacheBudget budget_;
  std::shared_ptr<TokenCache> tokens_ = std::make_shared<TokenCache>();
  std::shared_ptr<ForwardProfiles> profiles_ = std::make_shared<ForwardProfiles>();
  std::map<std::string, OpenCheckpoint> checkpoints_;            ///< by ModelPath::text()
  std::map<std::string, std::unique_ptr<DeviceCache>> devices_;  ///< by at::Device::str()
  std::map<std::string, std::shared_ptr<const StatisticFile>> statistics_;  ///< by key
  HeldExamples examples_{0};
  bool keeps_examples_ = false;
};

}  // namespace assay
