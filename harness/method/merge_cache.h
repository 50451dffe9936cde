/// Results that the merges of a sweep share: thresholds, norms, inner products. Each is computed
/// once per process and kept by a key that names all it depends on.
#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "harness/core/cost.h"

namespace assay {

/// A part of one tensor of a merge, in float32.
struct SharedPart {
  std::string key;  ///< of the values; empty: none yet
  Cost cost;
  at::Tensor values;
};

/// The values kept. Thread-safe.
class MergeCache {
 public:
  struct Entry {
    std::any value;
    Cost cost;  ///< of computing it
  };

  /// What it holds stays below `capacity_bytes`: the values unused for longest go first.
  /// Apart from these it keeps the parts of one model in float32, while they take less than
  /// `parts_bytes`.
  explicit MergeCache(int64_t capacity_bytes = int64_t{256} << 20,
                      int64_t parts_bytes = int64_t{4} << 30)
      : capacity_(capacity_bytes), parts_capacity_(parts_bytes) {}

  std::optional<Entry> find(const std::string& key);
  /// `bytes`: the size of the value.
  void insert(const std::string& key, Entry entry, int64_t bytes);
  int64_t bytes() const;
  /// The part of a tensor from an element on, with room for `count` values on the device; null
  /// where parts have reached their bound. For one merge at a time, and one of its threads: a call
  /// for another count or device makes it anew.
  SharedPart* part(const std::string& tensor, int64_t offset, int64_t count, at::Device device);

 private:
  struct Kept {
    std::string key;
    Entry entry;
    int64_t bytes;
  };
  using Order = std::list<Kept>;  ///< the most recently used first

  mutable std::mutex mutex_;
  int64_t capacity_, bytes_ = 0;
  Order kept_;
  std::unordered_map<std::string, Order::iterator> index_;
  int64_t parts_capacity_, parts_bytes_ = 0;
  std::unordered_map<std::string, SharedPart> parts_;
};

/// Shared work as one merge sees it. Thread-safe, as long as threads ask for values of different
/// tensors.
class Sharing {
 public:
  using Measure = std::function<Cost(const std::function<void()>&)>;

  /// Shares nothing: every value is computed when it is asked for.
  Sharing() = default;
  /// `base` is empty where the base is not read; `experts` has one content hash each. `measure`
  /// runs its argument and says what that cost.
  Sharing(MergeCache* work, std::string base, std::vector<std::string> experts, Measure measure)
      : work_(work),
        base_(std::move(base)),
        experts_(std::move(experts)),
        measure_(std::move(measure)) {}

  bool on() const { return work_ != nullptr; }
  const std::string& base() const { return base_; }
  const std::string& expert(size_t i) const { return experts_.at(i); }
  /// What the values that came from earlier merges cost there; absent when none did. To be asked
  /// when all threads are done.
  const std::optional<Cost>& reused() const { return reused_; }
  /// The beginning of a key: a tensor in the base and in one expert.
  const std::string& delta_key(const std::string& tensor, size_t expert);

  /// `count` float32 values that merges one after the other can share, as different multiples of
  /// one task vector do: what `compute` writes, or wrote for the same key the last time that values
  /// of this part were asked for. Undefined where there is no memory for it. Only one set of
  /// values is kept for each part of a tensor, and its memory is used again.
  at::Tensor part(const std::string& tensor, int64_t offset, const std::string& key, int64_t count,
                  at::Device device, const std::function<void(at::Tensor& values)>& compute);

  /// One value per key: those that are kept, and for the others what `compute` returns, given their
  /// places in `keys`, in that order. T is trivially copyable, or a vector of such. `compute` must
  /// not ask for shared values itself, or they would be paid for twice.
  template <typename T>
  std::vector<T> get(
      const std::vector<std::string>& keys,
      const std::function<std::vector<T>(const std::vector<size_t>& missing)>& compute) {
    std::vector<T> values(keys.size());
    std::vector<size_t> missing;
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::optional<std::any> known = recall(keys[i]);
      if (known)
        values[i] = std::any_cast<T>(*known);
      else
        missing.push_back(i);
    }
    if (missing.empty()) return values;
    std::vector<T> computed;
    const Cost cost = measured([&] { computed = compute(missing); });
    for (size_t k = 0; k < missing.size(); ++k) {
      values[missing[k]] = computed.at(k);
      keep(keys[missing[k]], computed[k], size_of(computed[k]), cost, k, missing.size());
    }
    return values;
  }

 private:
  template <typename T>
  static int64_t size_of(const T& value) {
    if constexpr (std::is_trivially_copyable_v<T>) {
      return sizeof value;
    } else {
      static_assert(std::is_trivially_copyable_v<typename T::value_type>);
      return static_cast<int64_t>(sizeof value + value.size() * sizeof(typename T::value_type));
    }
  }
  /// None when it is not kept; else charged.
  std::optional<std::any> recall(const std::string& key);
  void charge(const Cost& cost);
  Cost measured(const std::function<void()>& work) const;
  /// `cost` is that of computing `count` values together, of which this is the one at `place`.
  void keep(const std::string& key, std::any value, int64_t bytes, const Cost& cost, size_t place,
            size_t count);

  MergeCache* work_ = nullptr;
  std::string base_;
  std::vector<std::string> experts_;
  Measure measure_;
  std::mutex mutex_;  ///< for what is below
  std::optional<Cost> reused_;
  std::unordered_map<std::string, std::vector<std::string>> delta_keys_;  ///< per tensor and expert
};

}  // namespace assay
