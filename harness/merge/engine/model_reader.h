/// Reads tensors of models for methods: whole or by parts, on the device, in the dtype asked for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness/merge/engine/cache_session.h"
#include "harness/merge/engine/input_check.h"
#include "harness/merge/engine/read_ahead.h"
#include "harness/merge/merge.h"

namespace assay {

/// The input models of one merge. Several threads may read at once, each its own tensor.
class ModelReader {
 public:
  /// `order`: the tensors in the order in which they will be merged.
  ModelReader(const MergeInputs& inputs, bool with_base, const std::vector<std::string>& order);

  /// With MergeInputs::cache: looks for NaN and infinity now, in models that no merge has checked,
  /// and allocates the cache's parts, so that no later merge has to.
  void begin_caching(const std::vector<std::string>& names);
  /// The cache, for the methods of this merge.
  CacheSession& cache() { return cache_; }
  /// What the first pass over each tensor finds.
  InputCheck& check() { return check_; }
  const InputCheck& check() const { return check_; }

  size_t num_experts() const { return inputs_.experts.size(); }
  const MergeInputs& inputs() const { return inputs_; }

  /// Whether tensors like this one may be merged concurrently, a thread each: the models' tensors
  /// of this name take a small share of the memory limit or, without one, of the models, so that
  /// threads end together. Never on an accelerator.
  /// `whole`: the method is given the whole tensor, which it may hold in several forms at once.
  bool small(const std::string& name, bool whole = false) const;
  /// Calls `work` with the indices of `names`; concurrently for those that are `concurrent`.
  /// Without a memory limit these come last, so that threads wait for one another once.
  void for_each(const std::vector<std::string>& names,
                const std::function<bool(size_t index)>& concurrent,
                const std::function<void(size_t index)>& work) const;
  /// One pass: elements [offset, offset + n) of every model, for all offsets in order.
  void for_each_part(const TensorJob& head, const TensorParts::Body& body);
  /// This thread needs no more of the tensor that it read last.
  void release();
  /// See TensorParts::dtype().
  at::ScalarType dtype(const std::string& name) const;
  /// Every model's whole tensor.
  TensorJob whole(TensorJob head);
  /// A tensor that is copied, of the model that gives it.
  at::Tensor copied_part(const std::string& name, int64_t first, int64_t count);

 private:
  /// Whether the tensor's memory stays from one pass over it to the next.
  bool stays_mapped(const std::string& name) const;
  /// This thread reads this tensor from now on: pages of the one before are released. Returns
  /// whether it is another.
  bool hold(const std::string& name);
  at::Tensor to_device(const at::Tensor& tensor) const;
  void set(TensorJob& job, const std::vector<at::Tensor>& tensors) const;

  const MergeInputs& inputs_;
  Sources read_;  ///< the base if it is read, then experts
  bool with_base_;
  int64_t all_bytes_ = 0;  ///< of the models
  CacheSession cache_;
  InputCheck check_;
  std::mutex mutex_;  ///< for what follows
  /// Per thread, the tensor whose memory stays from one pass over it to the next.
  std::map<std::thread::id, std::string> held_;
  std::unique_ptr<ReadAhead> read_ahead_;
};

}  // namespace assay
