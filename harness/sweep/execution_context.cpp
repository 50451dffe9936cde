#include "harness/sweep/execution_context.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/model/open.h"
#include "harness/sweep/internal/device_cache.h"

namespace assay {
namespace {

// The part of the memory for what is kept that examples may take: one in so many bytes.
constexpr int64_t kExamplesShare = 8;

// Empty where a file is gone.
std::string stamp_now(const Checkpoint& checkpoint) {
  try {
    return checkpoint.stamp();
  } catch (const fs::filesystem_error&) {
    return "";
  }
}

}  // namespace

ExecutionContext::ExecutionContext(CacheBudget budget) : budget_(budget) {}

ExecutionContext::~ExecutionContext() = default;

std::shared_ptr<const Checkpoint> ExecutionContext::open(const ModelRef& model) {
  const ModelPath path(model.path, model.adapter);
  OpenCheckpoint& known = checkpoints_[path.text()];
  if (known.checkpoint) {
    if (stamp_now(*known.checkpoint) == known.stamp &&
        known.checkpoint->content_hash() == model.hash)
      return known.checkpoint;
    // The old files may have been read while they changed. All that was computed from them goes,
    // and the old mapping before the new one: a mapping that changed counts against the cell.
    for (auto& [unused, cache] : devices_) cache->clear();
    known = {};
  }
  auto checkpoint = Checkpoint::open(path);
  const std::string stamp = stamp_now(*checkpoint);
  if (checkpoint->content_hash() != model.hash)
    data_error("{}: the weights changed since the sweep was planned", path.text());
  known = {checkpoint, stamp};
  return checkpoint;
}

std::shared_ptr<const Task> ExecutionContext::task(const TaskRef& ref) {
  std::shared_ptr<const Task> task = load_task(ref.name, "a cell", ref.changes);
  if (task->hash() != ref.hash)
    data_error("task {}: its definition or data changed since the sweep was planned", ref.name);
  return task;
}

std::shared_ptr<const StatisticFile> ExecutionContext::statistic(const StatisticJob& job) {
  auto& known = statistics_[job.key()];
  if (!known)
    known = compute_or_open(job, [&] {
      StatisticInputs inputs{open({job.model.path, job.model.hash, "", job.model.adapter}),
                             {},
                             tokens_,
                             budget_.bytes};
      for (const StatisticJob::OwnTask& own : job.tasks)
        inputs.tasks.push_back(task({own.name, own.hash, std::nullopt, own.changes}));
      return inputs;
    });
  return known;
}

std::shared_ptr<const CalibrationData> ExecutionContext::examples(const Cell& cell, size_t expert) {
  const CalibrationSpec& spec = cell.calibration->spec;
  const ModelRef& model = cell.experts.at(expert);
  std::string key = canonical(calibration_json(spec)) + model.computation;
  for (const TaskRef& task : cell.calibration->tasks.at(expert)) key += task.hash;
  return examples_.get(key, [&] {
    std::vector<std::shared_ptr<const Task>> tasks;
    for (const TaskRef& ref : cell.calibration->tasks.at(expert)) tasks.push_back(task(ref));
    return CalibrationData(open_computation(*open(model)), tasks, spec, tokens_);
  });
}

void ExecutionContext::keep_examples() {
  if (keeps_examples_) return;
  keeps_examples_ = true;
  const int64_t bytes = budget_.bytes / kExamplesShare;
  budget_.bytes -= bytes;
  examples_ = HeldExamples(bytes);
  devices_.clear();  // each is made again with the smaller budget
}

DeviceCache& ExecutionContext::on(at::Device device) {
  auto& cache = devices_[device.str()];
  if (!cache) cache = std::make_unique<DeviceCache>(device, budget_);
  return *cache;
}

}  // namespace assay
