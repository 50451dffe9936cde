/// Exact selection by magnitude over the deltas of one tensor or of a whole model, without a copy
/// of them: a radix select on the bit patterns, 16 bits a pass, over tensors fed one by one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "harness/kernels/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// Usage: feed() every tensor, whole or part by part; start_second_pass(k); where
/// needs_second_pass(), feed() the same again; then ask. Whole numbers are all that is added up, so
/// neither the order of tensors nor threads matter.
class KthMagnitude {
 public:
  static constexpr int kBins = 1 << 16;

  /// Counts |delta_element()| of every element of a tensor pair. The term's threshold must be 0,
  /// the elements fewer than 2^32. `offset`: see delta_merge().
  void feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
            int64_t offset = 0);
  /// `rank` in [1, count()]: 1 asks for the smallest magnitude.
  void start_second_pass(int64_t rank);

  /// False where the first pass was exact: deltas rounded to bfloat16 have no low half. Then
  /// feeding again does nothing.
  bool needs_second_pass() const { return !exact_; }

  int64_t count() const { return count_; }               ///< elements fed in the first pass
  uint32_t bits() const { return high_ << 16 | low(); }  ///< magnitude_bits() of the selected one
  int64_t equal() const;                                 ///< how many have exactly that magnitude
  int64_t below() const;                                 ///< how many have a smaller one

 private:
  uint32_t low() const;

  std::vector<int64_t> histogram_ = std::vector<int64_t>(kBins);
  bool second_ = false;
  bool exact_ = true;  ///< no low half fed so far is other than 0
  int64_t count_ = 0, rank_ = 0, below_high_ = 0;
  uint32_t high_ = 0;
};

/// Where the prefix of the flattened tensor ends that holds `ties` elements of exactly the given
/// magnitude, and how many it found up to there. `end` is DeltaTerm::tie_end: an index in the whole
/// tensor of which this one is the part from `offset` on, or the int64 maximum when this part holds
/// no more ties than that.
struct TieEnd {
  int64_t end;
  int64_t found;
};
TieEnd find_tie_end(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    uint32_t bits, int64_t ties, int64_t offset = 0);

/// The histogram bin of a magnitude: its high half in the first pass; in the second its low half
/// where the high half is the selected one, else -1.
ASSAY_ELEMENT int magnitude_bin(uint32_t bits, bool second, uint32_t high) {
  if (!second) return static_cast<int>(bits >> 16);
  return bits >> 16 == high ? static_cast<int>(bits & 0xffffu) : -1;
}

namespace cuda {
/// Adds to histogram[KthMagnitude::kBins], on the device.
void magnitude_histogram(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                         int64_t elements, bool second, uint32_t high,
                         unsigned long long* histogram, void* stream);
}  // namespace cuda

}  // namespace assay
