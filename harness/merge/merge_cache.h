/// A cache that memoizes intermediate results of merges (thresholds, norms, inner products, merged
/// task vectors) across the merges of a sweep. Keys name all that a value depends on, so an entry
/// is never invalid. Least recently used values are evicted first (LRU).
#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "harness/core/cost.h"

namespace assay {

/// A cached part of one tensor of a merge, in float32.
struct CachedPart {
  std::string key;  ///< of the values; empty: none yet
  Cost cost;        ///< of computing them
  at::Tensor values;
};

/// The cached values of one process. Owned by whoever runs several merges, and passed to each in
/// MergeInputs::cache. Thread-safe.
class MergeCache {
 public:
  struct Entry {
    std::any value;
    Cost cost;  ///< of computing it
  };

  /// Values take at most `capacity_bytes`: LRU eviction. Apart from these the cache holds the
  /// parts of one model in float32, while they take at most `parts_bytes`.
  explicit MergeCache(int64_t capacity_bytes = int64_t{256} << 20,
                      int64_t parts_bytes = int64_t{4} << 30)
      : capacity_(capacity_bytes), parts_capacity_(parts_bytes) {}

  /// Absent on a cache miss. A hit becomes the most recently used value.
  std::optional<Entry> find(const std::string& key);
  /// `bytes`: the size of the value.
  void insert(const std::string& key, Entry entry, int64_t bytes);
  /// What the values take, with their keys and bookkeeping.
  int64_t bytes() const;
  /// The buffer for `count` values of a tensor from `offset` on, on the device; null where parts
  /// have reached their bound. For one merge at a time, and one of its threads: a call for another
  /// count or device allocates it anew.
  CachedPart* part(const std::string& tensor, int64_t offset, int64_t count, at::Device device);

 private:
  struct Node {
    std::string key;
    Entry entry;
    int64_t bytes;
  };
  using Order = std::list<Node>;  ///< the most recently used first

  mutable std::mutex mutex_;
  int64_t capacity_, bytes_ = 0;
  Order order_;
  std::unordered_map<std::string, Order::iterator> index_;
  int64_t parts_capacity_, parts_bytes_ = 0;
  std::unordered_map<std::string, CachedPart> parts_;
};

}  // namespace assay
