/// The MergeCache as one merge uses it: builds keys from its models, and keeps account of what
/// cached values would have cost.
#pragma once

#include <any>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/core/cost.h"
#include "harness/merge/merge_cache.h"
#include "harness/method/job.h"

namespace assay {

/// Thread-safe, as long as threads ask for values of different tensors.
class CacheSession {
 public:
  using Measure = std::function<Cost(const std::function<void()>&)>;

  /// Without a cache: every value is computed when it is asked for.
  CacheSession() = default;
  /// `base` is empty where the base is not read; `experts` has one content hash each. `measure`
  /// runs its argument and returns what that cost.
  CacheSession(MergeCache* cache, std::string base, std::vector<std::string> experts,
               Measure measure)
      : cache_(cache),
        base_(std::move(base)),
        experts_(std::move(experts)),
        measure_(std::move(measure)) {}

  bool on() const { return cache_ != nullptr; }
  /// What the values that came from earlier merges cost there; absent when none did. To be called
  /// when all threads are done.
  const std::optional<Cost>& reused() const { return reused_; }

  /// See TensorParts; empty without a cache.
  std::string delta_key(const std::string& tensor, size_t expert);
  std::string pair_key(const std::string& tensor, size_t one, size_t other) const;
  /// One value per key: cached ones, and for the others what `compute` returns. Values computed
  /// together are charged equal shares of the cost.
  std::vector<std::any> get(const std::vector<std::string>& keys, const ComputeMissing& compute);
  /// See TensorJob::cached_part().
  at::Tensor part(const std::string& tensor, int64_t offset, const std::string& key, int64_t count,
                  at::Device device, const std::function<void(at::Tensor& values)>& compute);

 private:
  /// Absent on a cache miss; else charged.
  std::optional<std::any> recall(const std::string& key);
  void charge(const Cost& cost);
  Cost measured(const std::function<void()>& work) const;

  MergeCache* cache_ = nullptr;
  std::string base_;
  std::vector<std::string> experts_;
  Measure measure_;
  std::mutex mutex_;  ///< for what is below
  std::optional<Cost> reused_;
  std::unordered_map<std::string, std::vector<std::string>> delta_keys_;  ///< per tensor and expert
};

}  // namespace assay
