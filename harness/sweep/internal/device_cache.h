/// What the merges of a sweep share on one device.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"
#include "harness/sweep/cache_memory.h"
#include "harness/sweep/internal/held_models.h"

namespace assay {

/// For one merge at a time.
class DeviceCache {
 public:
  /// `budget`: for the values and task vectors that merges share.
  DeviceCache(at::Device device, CacheBudget budget);

  /// The models as a merge takes them, with merges(): reconciled, or unequal_inputs() where the
  /// method does not need the same shapes; on an accelerator copied there where they fit. `base`
  /// may be null.
  MergeInputs inputs(const std::shared_ptr<const Checkpoint>& base,
                     const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                     bool same_shapes);
  /// Where merged models go, each in the buffers of the last one.
  MemorySink& merged() { return merged_; }
  /// Drops all that was read from checkpoints or computed from them. merged() stays.
  void clear();

 private:
  at::Device device_;
  CacheBudget budget_;
  MemorySink merged_;
  std::optional<MergeCache> merges_;  ///< always there
  std::optional<HeldModels> held_;    ///< absent on the CPU, where checkpoints are mapped
  /// By base, which may be null, and experts, and whether the same shapes are needed; the values
  /// hold the models.
  std::map<std::pair<std::vector<const Checkpoint*>, bool>, MergeInputs> reconciled_;
};

}  // namespace assay
