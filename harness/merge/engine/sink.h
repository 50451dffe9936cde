/// Where merged tensors go.
#pragma once

#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// Calls come in this order: begin(); then for every tensor that is not taken_up(), room() and
/// put() for its parts in order (none for an empty tensor), then end(). Several tensors may come at
/// once, from as many threads.
class MergeSink {
 public:
  virtual ~MergeSink() = default;
  /// All tensors of the result, in name order.
  virtual void begin(const std::vector<TensorInfo>& tensors) = 0;
  /// For a tensor that is there already, of a merge that was killed: the note end() got then.
  virtual const Json* taken_up(const TensorInfo& tensor) const;
  /// Uninitialised memory, [count] in the tensor's dtype, for elements [first, first + count).
  virtual at::Tensor room(const TensorInfo& tensor, int64_t first, int64_t count) = 0;
  /// Takes what room() gave, filled.
  virtual void put(const TensorInfo& tensor, int64_t first, const at::Tensor& room) = 0;
  /// The tensor is whole. `note`: what the engine wants to know of it if it is taken up.
  virtual void end(const TensorInfo& tensor, const Json& note);
};

/// Into tensors in memory. Kept from merge to merge, it allocates at the first one alone, as long
/// as names, shapes and dtypes stay the same.
class MemorySink : public MergeSink {
 public:
  explicit MemorySink(at::Device device) : device_(device) {}
  void begin(const std::vector<TensorInfo>& tensors) override;
  at::Tensor room(const TensorInfo& tensor, int64_t first, int64_t count) override;
  void put(const TensorInfo&, int64_t, const at::Tensor&) override {}
  /// The merged tensors. They are overwritten by the next merge into this sink.
  const StateDict& tensors() const { return tensors_; }

 private:
  at::Device device_;
  StateDict tensors_;
};

}  // namespace assay
