#include "harness/sweep/execution_context.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/sweep/internal/device_cache.h"

namespace assay {
namespace {

// Empty where a file is gone.
std::string stamp_now(const Checkpoint& checkpoint) {
  try {
    return checkpoint.stamp();
  } catch (const fs::filesystem_error&) {
    return "";
  }
}

}  // namespace

ExecutionContext::ExecutionContext(CacheBudget budget, TaskChanges task_changes)
    : budget_(budget), task_changes_(task_changes) {}

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
  const auto checkpoint = Checkpoint::open(path);
  const std::string stamp = stamp_now(*checkpoint);
  if (checkpoint->content_hash() != model.hash)
    data_error("{}: the weights changed since the sweep was planned", path.text());
  known = {checkpoint, stamp};
  return checkpoint;
}

DeviceCache& ExecutionContext::on(at::Device device) {
  auto& cache = devices_[device.str()];
  if (!cache) cache = std::make_unique<DeviceCache>(device, budget_);
  return *cache;
}

}  // namespace assay
