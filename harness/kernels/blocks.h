/// How kernels walk tensors: in blocks of a fixed size, so that no result depends on the number of
/// threads, and within these in runs. Partial results are kept per block and reduced in block
/// order.
///
/// Counting rule for counters::flops: every float addition, subtraction, multiplication, division
/// and comparison that a configuration performs on one element is one operation; a sum of N terms
/// is N - 1. Integer and bit operations, conversions, absolute values and random bits are free
/// (magnitudes and signs are compared as integers). Work per block or per tensor is not counted.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <type_traits>
#include <vector>

#include "harness/core/thread_pool.h"
#include "harness/kernels/dtype/runs.h"

namespace assay {

inline constexpr int64_t kBlock = 1 << 14;  ///< elements

inline int64_t num_blocks(int64_t count) { return (count + kBlock - 1) / kBlock; }

/// Elements [begin, end) of a tensor, a block of it.
struct Block {
  int64_t index = 0, begin = 0, end = 0;
};

/// Blocks of `count` elements, handed out to whatever thread asks next. One per thread.
class BlockQueue {
 public:
  BlockQueue(int64_t count, IndexQueue& indices) : count_(count), indices_(indices) {}
  /// False when there are none left.
  bool next(Block& block);

 private:
  int64_t count_;
  IndexQueue& indices_;
};

/// Calls `body` on as many threads as at::get_num_threads() says, and no more than there are
/// blocks; each takes blocks from the queue until there are none. Their non-temporal stores have
/// then arrived. Rethrows the exception of the lowest block.
void share_blocks(int64_t count, const std::function<void(BlockQueue&)>& body);

/// Calls `body(begin, size)` for the runs of a block.
template <typename Body>
void for_runs(const Block& block, const Body& body) {
  for (int64_t begin = block.begin; begin < block.end; begin += kRun)
    body(begin, std::min(kRun, block.end - begin));
}

/// Calls `run(state, begin, size)` for the runs of `count` elements, on several threads, each with
/// a state that `make()` gives it; returns the sum of what `run` returns, if it does.
template <typename Make, typename Run>
int64_t share_runs(int64_t count, const Make& make, const Run& run) {
  std::atomic<int64_t> total{0};
  share_blocks(count, [&](BlockQueue& queue) {
    auto state = make();
    int64_t sum = 0;
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        if constexpr (std::is_void_v<decltype(run(state, begin, size))>)
          run(state, begin, size);
        else
          sum += run(state, begin, size);
      });
    total += sum;
  });
  return total;
}

/// Uninitialised float32 of the first tensor's shape and device.
at::Tensor float32_like(const std::vector<at::Tensor>& tensors);

/// Aborts for a dtype that is not one of DType.
DType dtype_of(at::ScalarType type);

/// Tensors of one shape and device as kernels take them. Holds contiguous copies where a tensor is
/// not.
class Operands {
 public:
  /// The first tensor gives shape and device; aborts when another differs or a dtype is not one of
  /// DType. UserError for a device there are no kernels for.
  explicit Operands(const std::vector<at::Tensor>& tensors);
  Operands(const at::Tensor& base, const std::vector<at::Tensor>& experts);

  int64_t count() const { return held_.front().numel(); }  ///< elements of each tensor
  int size() const { return static_cast<int>(operands_.size()); }
  const Operand& operator[](int i) const { return operands_[static_cast<size_t>(i)]; }
  const Operand* data() const { return operands_.data(); }
  bool on_cuda() const { return held_.front().is_cuda(); }
  at::Device device() const { return held_.front().device(); }
  /// The dtype of a tensor that takes a result of the operands' shape and device; aborts when it is
  /// none such or not contiguous.
  DType check_result(const at::Tensor& out) const;

 private:
  std::vector<at::Tensor> held_;
  std::vector<Operand> operands_;
};

/// Runs of the first `count` operands on the host in float32: the data itself where it is float32,
/// else converted into a buffer of its own. One per thread.
class RunValues {
 public:
  RunValues(const Operands& operands, int count);
  explicit RunValues(const Operands& operands) : RunValues(operands, operands.size()) {}
  /// Makes it elements [begin, begin + size).
  void load(int64_t begin, int64_t size);
  const float* operator[](int i) const { return rows_[static_cast<size_t>(i)]; }
  const float* const* rows() const { return rows_.data(); }

 private:
  const Operands& operands_;
  std::vector<const float*> rows_;
  std::vector<float> buffer_;
};

/// Adds `per_element` * `count` to counters::flops.
void count_flops(int64_t per_element, int64_t count);

}  // namespace assay
