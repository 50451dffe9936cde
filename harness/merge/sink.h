/// Where merged tensors go.
#pragma once

#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// Calls come in this order: begin(); then for every tensor that is not resumed(), buffer() and
/// put() for its parts in order (none for an empty tensor), then end(). Several tensors may come
/// concurrently, a thread each.
class MergeSink {
 public:
  virtual ~MergeSink() = default;
  /// All tensors of the result, in name order.
  virtual void begin(const std::vector<TensorInfo>& tensors) = 0;
  /// For a tensor that a killed merge finished, which this one resumes: the record that end() got
  /// then. Null: the tensor is to be merged.
  virtual const Json* resumed(const TensorInfo& tensor) const;
  /// Uninitialised memory, [count] in the tensor's dtype, for elements [first, first + count).
  virtual at::Tensor buffer(const TensorInfo& tensor, int64_t first, int64_t count) = 0;
  /// Takes what buffer() returned, filled.
  virtual void put(const TensorInfo& tensor, int64_t first, const at::Tensor& values) = 0;
  /// The tensor is complete. `record`: what the engine needs of it when the merge is resumed.
  virtual void end(const TensorInfo& tensor, const Json& record);
};

/// Into tensors in memory. Reused for several merges, it allocates at the first one alone, as long
/// as names, shapes and dtypes stay the same.
class MemorySink : public MergeSink {
 public:
  explicit MemorySink(at::Device device) : device_(device) {}
  void begin(const std::vector<TensorInfo>& tensors) override;
  at::Tensor buffer(const TensorInfo& tensor, int64_t first, int64_t count) override;
  void put(const TensorInfo&, int64_t, const at::Tensor&) override {}
  /// The merged tensors. They are overwritten by the next merge into this sink.
  const StateDict& tensors() const { return tensors_; }

 private:
  at::Device device_;
  StateDict tensors_;
};

}  // namespace assay
