/// What a method is given to work on: a TensorJob (one tensor of all models, or a part of it), a
/// TensorParts (a tensor to be read part by part) or a ModelJob (a whole merge).
#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace assay {

class EngineHandle;
class Evidence;

/// Tensors are merged in parts of this many elements, on any device and with any memory limit: sums
/// over parts are then added up in the same order everywhere.
inline constexpr int64_t kPartElements = 1 << 20;

/// One tensor of every model, or a part of it: same name, same shape, same device, each model's in
/// its storage dtype. Floating dtypes only: the engine copies integer tensors.
struct TensorJob {
  std::string name;
  at::Tensor base;                  ///< undefined unless the method needs a base
  std::vector<at::Tensor> experts;  ///< in the order of the merge
  /// Index of the first element in the flattened tensor, a multiple of 64. Parts are flat; a whole
  /// tensor has its shape and offset 0.
  int64_t offset = 0;

  /// Without an engine: nothing is cached, reports are dropped. Enough to test a method.
  TensorJob();
  TensorJob(std::string name, std::shared_ptr<EngineHandle> engine);

  /// A buffer for the merged values, uninitialised, like the base or else the first expert. The
  /// engine's own, in the output dtype, where it has one, else float32. To write into it and return
  /// it saves a copy.
  at::Tensor result() const;
  /// The same, in this dtype.
  at::Tensor result(at::ScalarType dtype) const;
  /// How many values of result() are NaN or infinite, from a kernel that counts as it writes. Saves
  /// the engine's own count.
  void report_nonfinite(int64_t count) const;
  /// A number about the method's work, averaged over tensors and stored with the run: for instance
  /// the share of tensors that SLERP interpolated linearly.
  void report(const std::string& what, double value) const;
  /// A hash of seed, tensor and expert, alike for all methods, so that equal draws of two methods
  /// can be compared in pairs. A method hashes what it draws into it to get its Philox key.
  uint64_t expert_key(size_t expert) const;

  /// See ModelJob::evidence().
  const Evidence& evidence() const;

  /// Whether cached_part() may return values.
  bool caches() const;
  /// See TensorParts::delta_key().
  std::string delta_key(size_t expert) const;
  /// Memoizes `count` float32 values of this part (often a merged task vector, which differs
  /// between merges by a factor alone): those that `compute` writes now, or wrote for this key in
  /// an earlier merge. Undefined where there is no memory for them. For each part the cache keeps
  /// the latest key alone and reuses its memory.
  at::Tensor cached_part(const std::string& key, int64_t count,
                         const std::function<void(at::Tensor& values)>& compute) const;

 private:
  friend class TensorParts;
  std::shared_ptr<EngineHandle> engine_;
};

/// How much memory a method may hold besides the parts that it is given.
struct WorkingMemory {
  int64_t bytes = 0;      ///< of the whole merge; 0: no limit
  std::string scratch{};  ///< an existing folder, for files of what takes more

  /// Whether a method may hold so many bytes: half of what the merge has.
  bool fits(int64_t wanted) const { return bytes == 0 || wanted <= bytes / 2; }
};

/// A memoized value and its size.
struct CachedValue {
  std::any value;
  int64_t bytes;
};
/// Computes the values of the keys at these places, in this order.
using ComputeMissing = std::function<std::vector<CachedValue>(const std::vector<size_t>& missing)>;

/// One tensor of every model, to be read part by part.
class TensorParts {
 public:
  using Body = std::function<void(const TensorJob& part)>;
  /// For engines. `head` is a job without tensors; `visit` calls its argument with every part.
  TensorParts(TensorJob head, size_t num_experts, int64_t elements, at::ScalarType dtype,
              WorkingMemory memory, std::function<void(const Body&)> visit);

  const std::string& name() const { return head_.name; }
  size_t num_experts() const { return num_experts_; }
  int64_t elements() const { return elements_; }
  /// Of the base, or else of the first expert; the other models' may differ.
  at::ScalarType dtype() const { return dtype_; }
  const WorkingMemory& memory() const { return memory_; }
  uint64_t expert_key(size_t expert) const { return head_.expert_key(expert); }
  void report(const std::string& what, double value) const { head_.report(what, value); }
  /// See ModelJob::evidence().
  const Evidence& evidence() const { return head_.evidence(); }

  /// One pass over the tensor: calls `body` with its parts in order. May be called any number of
  /// times; each reads the tensor again.
  void for_each(const Body& body) const { visit_(body); }

  /// The beginning of a key for cached(): this tensor in the base and in one expert, or in two
  /// experts in either order. Append what else the value depends on, as parameters.
  std::string delta_key(size_t expert) const { return head_.delta_key(expert); }
  std::string pair_key(size_t one, size_t other) const;
  /// Memoizes values across the merges of a sweep, one per key: cached ones, and for the others
  /// what `compute` returns, given their places in `keys`, in that order. Without a sweep all are
  /// computed. T is trivially copyable, or a vector of such. `compute` must not call cached(): its
  /// cost would be charged twice.
  template <typename T>
  std::vector<T> cached(
      const std::vector<std::string>& keys,
      const std::function<std::vector<T>(const std::vector<size_t>& missing)>& compute) const {
    std::vector<std::any> found = cached_values(keys, [&](const std::vector<size_t>& missing) {
      std::vector<CachedValue> made;
      for (T& value : compute(missing)) {
        const int64_t bytes = bytes_of(value);
        made.push_back({std::move(value), bytes});
      }
      return made;
    });
    std::vector<T> values;
    values.reserve(found.size());
    for (std::any& value : found) values.push_back(std::any_cast<T>(std::move(value)));
    return values;
  }

 private:
  template <typename T>
  static int64_t bytes_of(const T& value) {
    if constexpr (std::is_trivially_copyable_v<T>) {
      return sizeof value;
    } else {
      static_assert(std::is_trivially_copyable_v<typename T::value_type>);
      return static_cast<int64_t>(sizeof value + value.size() * sizeof(typename T::value_type));
    }
  }
  std::vector<std::any> cached_values(const std::vector<std::string>& keys,
                                      const ComputeMissing& compute) const;

  TensorJob head_;
  size_t num_experts_;
  int64_t elements_;
  at::ScalarType dtype_;
  WorkingMemory memory_;
  std::function<void(const Body&)> visit_;
};

/// A whole merge, for methods that need more than one tensor at a time.
class ModelJob {
 public:
  virtual ~ModelJob() = default;
  virtual size_t num_experts() const = 0;
  /// The tensors that are merged, in name order.
  virtual const std::vector<std::string>& names() const = 0;
  /// One tensor of every model, part by part. Must not outlive the job.
  virtual TensorParts parts(const std::string& name) const = 0;
  /// Calls `body` with the index in names() of every tensor, for passes over whole models. Small
  /// tensors are processed concurrently, a thread each; kernels then stay on that thread. `body`
  /// must not report(): means would depend on the order of threads.
  virtual void for_each(const std::function<void(size_t index)>& body) const = 0;
  /// Loads one tensor of every model whole. May be called any number of times, in any order.
  virtual TensorJob tensor(const std::string& name) const = 0;
  /// Statistics, layers and the network (evidence.h): for methods that list statistics or need
  /// calibration data, labels or gradients.
  virtual const Evidence& evidence() const = 0;
};

}  // namespace assay
