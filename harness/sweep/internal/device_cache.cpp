#include "harness/sweep/internal/device_cache.h"

#include <algorithm>

#include "harness/merge/model_checks.h"

namespace assay {
namespace {

// The part for thresholds, norms and inner products; the rest is for task vectors.
int64_t values_bytes(int64_t cache_bytes) { return std::min(int64_t{256} << 20, cache_bytes / 8); }

}  // namespace

DeviceCache::DeviceCache(at::Device device, CacheBudget budget)
    : device_(device), budget_(budget), merged_(device) {
  clear();
}

void DeviceCache::clear() {
  reconciled_.clear();
  const int64_t values = values_bytes(budget_.bytes);
  merges_.emplace(values, budget_.task_vectors ? budget_.bytes - values : 0);
  if (!device_.is_cpu()) held_.emplace(device_);
}

MergeInputs DeviceCache::inputs(const std::shared_ptr<const Checkpoint>& base,
                                const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                                bool same_shapes) {
  std::vector<const Checkpoint*> models{base.get()};
  for (const auto& expert : experts) models.push_back(expert.get());
  auto known = reconciled_.find({models, same_shapes});
  if (known == reconciled_.end()) {
    MergeInputs inputs = reconciled_inputs(base, experts);
    if (!same_shapes && are_unequal(tensor_mismatches(inputs), base, experts))
      inputs = unequal_inputs(base, experts);
    known = reconciled_.emplace(std::pair(models, same_shapes), std::move(inputs)).first;
  }
  MergeInputs made = known->second;
  made.device = device_;
  made.cache = &*merges_;
  if (!held_) return made;
  if (made.base) made.base = held_->hold(made.base);
  for (auto& expert : made.experts) expert = held_->hold(expert);
  return made;
}

}  // namespace assay
