/// What a method is given to work on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/method/merge_cache.h"

namespace assay {

/// Tensors are worked on in parts of this many elements, whatever the device and the memory at
/// hand: a sum over parts is then added up in the same order everywhere.
inline constexpr int64_t kPartElements = 1 << 20;

/// Numbers a method reports about its own work, averaged over tensors and stored with the run: for
/// instance the share of tensors that SLERP interpolated linearly.
class Diagnostics {
 public:
  void report(const std::string& name, double value);
  std::map<std::string, double> means() const;
  /// What was reported; recall() adds it to another's.
  Json note() const;
  void recall(const Json& note);

 private:
  using Sums = std::map<std::string, std::pair<double, int64_t>>;
  mutable std::mutex mutex_;
  Sums sums_;
};

/// One tensor of every model, or a part of it: same name, same shape, same device; each in its
/// storage dtype. Floating dtypes only: integer tensors are copied and never reach a method.
struct TensorJob {
  std::string name;
  at::Tensor base;                  ///< undefined unless the method needs a base
  std::vector<at::Tensor> experts;  ///< in the order of the merge
  /// Where these elements begin in the flattened tensor, a multiple of 64. Parts are flat; a whole
  /// tensor has its shape.
  int64_t offset = 0;
  uint64_t seed_key = 0;  ///< a hash of seed, method, version and tensor name
  Diagnostics* diagnostics = nullptr;
  /// Where the result goes, in the output dtype; undefined where the engine has no place yet.
  at::Tensor room;
  /// Where the engine hears how many values of the result are NaN or infinite; null: nowhere.
  std::optional<int64_t>* nonfinite = nullptr;
  Sharing* sharing = nullptr;  ///< null: none

  /// A place for the merged values that saves a copy: kernels that round to any dtype write into
  /// it, and merge() returns it. Float32 like the base or the first expert where there is no room.
  at::Tensor result() const;
  /// For what merge() returns as it is: kernels that count while they write save another look at
  /// it. Without this the engine counts itself.
  void report_nonfinite(int64_t count) const {
    if (nonfinite) *nonfinite = count;
  }
  /// The Philox key of this tensor for one expert: with a counter that comes from the
  /// element's index in the whole tensor, draws depend on (seed, method, version, tensor, expert,
  /// element) and on nothing else.
  uint64_t expert_key(size_t expert) const;
  void report(const std::string& what, double value) const {
    if (diagnostics) diagnostics->report(what, value);
  }
};

/// What a method may hold besides the parts that it is given.
struct WorkingMemory {
  int64_t bytes = 0;      ///< of the whole merge; 0: no limit
  std::string scratch{};  ///< an existing folder, for files of what takes more

  /// Whether a method may hold so many bytes: half of what the merge has.
  bool fits(int64_t wanted) const { return bytes == 0 || wanted <= bytes / 2; }
};

/// One tensor of every model, to be read part by part.
class TensorParts {
 public:
  using Body = std::function<void(const TensorJob& part)>;
  using Glance = std::function<TensorJob(int64_t offset, int64_t count)>;
  /// `head` is a job without tensors; `visit` calls its argument with every part.
  TensorParts(TensorJob head, size_t num_experts, int64_t elements, WorkingMemory memory,
              std::function<void(const Body&)> visit, Glance glance, Sharing& sharing);

  const std::string& name() const { return head_.name; }
  size_t num_experts() const { return num_experts_; }
  int64_t elements() const { return elements_; }
  const WorkingMemory& memory() const { return memory_; }
  uint64_t expert_key(size_t expert) const { return head_.expert_key(expert); }
  void report(const std::string& what, double value) const { head_.report(what, value); }

  /// One pass over the tensor: calls `body` with its parts in order. May be called any number of
  /// times; each reads the tensor again.
  void for_each(const Body& body) const { visit_(body); }
  /// A few elements, [offset, offset + count), for a guess at what a pass will find: on the host,
  /// and not yet seen to be finite.
  TensorJob glance(int64_t offset, int64_t count) const { return glance_(offset, count); }

  /// The beginning of a key for shared(): this tensor in the base and in one expert, or in two
  /// experts in whatever order. What else the value depends on (parameters) comes after it.
  std::string delta_key(size_t expert) const;
  std::string pair_key(size_t one, size_t other) const;
  /// Values that later merges of a sweep may take over: see Sharing::get(). Without a sweep it just
  /// computes them.
  template <typename T>
  std::vector<T> shared(
      const std::vector<std::string>& keys,
      const std::function<std::vector<T>(const std::vector<size_t>& missing)>& compute) const {
    return sharing_->get<T>(keys, compute);
  }

 private:
  TensorJob head_;
  size_t num_experts_;
  int64_t elements_;
  WorkingMemory memory_;
  std::function<void(const Body&)> visit_;
  Glance glance_;
  Sharing* sharing_;
};

/// A whole merge, for methods that need more than one tensor at a time.
class ModelJob {
 public:
  virtual ~ModelJob() = default;
  virtual size_t num_experts() const = 0;
  /// The tensors that are merged, in name order.
  virtual const std::vector<std::string>& names() const = 0;
  /// One tensor of every model, part by part. To be used before the job goes away.
  virtual TensorParts parts(const std::string& name) const = 0;
  /// Calls `body` with the place in names() of every tensor, for passes over whole models: with
  /// those of several small ones at once, each on a thread, where kernels then stay. `body` must
  /// not report(): means would depend on the order of threads.
  virtual void for_each(const std::function<void(size_t place)>& body) const = 0;
  /// Loads one tensor of every model whole. May be called any number of times, in any order.
  virtual TensorJob tensor(const std::string& name) const = 0;
};

}  // namespace assay
