/// How kernels walk tensors: in blocks of a fixed size, so that no result depends on the number of
/// threads. Partial results are kept per block and reduced in block order.
///
/// Counting rule for counters::flops: every float addition, subtraction, multiplication, division
/// and comparison that a configuration performs on one element is one operation; a sum of N terms
/// is N - 1. Integer and bit operations, conversions, absolute values and random bits are free
/// (magnitudes and signs are compared as integers). Work per block or per tensor is not counted.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "harness/kernels/element.h"

namespace assay {

inline constexpr int64_t kBlock = 1 << 14;  ///< elements

inline int64_t num_blocks(int64_t count) { return (count + kBlock - 1) / kBlock; }

/// Calls `body(first, last)` with ranges of blocks that together cover [0, blocks), on as many
/// threads as at::get_num_threads() says.
void split_blocks(int64_t blocks, const std::function<void(int64_t first, int64_t last)>& body);

/// Calls `body(block, begin, end)` for every block of `count` elements.
template <typename Body>
void for_blocks(int64_t count, const Body& body) {
  split_blocks(num_blocks(count), [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block)
      body(block, block * kBlock, std::min(count, (block + 1) * kBlock));
  });
}

/// Aborts for a dtype that is not one of Storage.
Storage storage_of(at::ScalarType type);

/// Tensors of one shape and device as kernels take them. Holds contiguous copies where a tensor is
/// not.
class Operands {
 public:
  /// The first tensor gives shape and device; aborts when another differs or a dtype is not one of
  /// Storage. UserError for a device there are no kernels for.
  explicit Operands(const std::vector<at::Tensor>& tensors);
  Operands(const at::Tensor& base, const std::vector<at::Tensor>& experts);

  int64_t count() const { return held_.front().numel(); }  ///< elements of each tensor
  int size() const { return static_cast<int>(operands_.size()); }
  const Operand& operator[](int i) const { return operands_[static_cast<size_t>(i)]; }
  const Operand* data() const { return operands_.data(); }
  bool on_cuda() const { return held_.front().is_cuda(); }
  at::Device device() const { return held_.front().device(); }
  /// Uninitialised float32 of the operands' shape and device.
  at::Tensor like() const;

 private:
  std::vector<at::Tensor> held_;
  std::vector<Operand> operands_;
};

/// Elements [begin, end) of every operand in float32: the data itself where it is float32, else
/// converted into room of its own. For operands on the host.
class BlockValues {
 public:
  BlockValues(const Operands& operands, int64_t begin, int64_t end);
  /// Starts at element `begin`.
  const float* operator[](int i) const { return values_[static_cast<size_t>(i)]; }

 private:
  std::vector<const float*> values_;
  std::vector<std::vector<float>> rooms_;
};

/// Adds `per_element` * `count` to counters::flops.
void count_flops(int64_t per_element, int64_t count);

}  // namespace assay
