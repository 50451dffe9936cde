/// Exact selection by magnitude, in place of a partial sort, over the deltas of one tensor or of a
/// whole model, without a copy of them: passes over tensors fed one by one count magnitudes in a
/// range of bit patterns that becomes narrower, from all that there are or from one around where a
/// sample expects it.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "harness/kernels/select/magnitude_range.h"
#include "harness/kernels/task_vector/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// Usage: do feed() every tensor, whole or part by part, while (next()); then ask. Whole numbers
/// are all that is added up, so neither the order of tensors nor threads matter, and a sample
/// decides about time alone.
class KthMagnitude {
 public:
  /// One rank per expert, in [1, count]: 1 asks for the smallest of its `count` magnitudes.
  KthMagnitude(const std::vector<int64_t>& ranks, int64_t count);

  /// |delta_element()| of every element of a base's and the experts' tensors, in every pass the
  /// same. A term's threshold must be 0. `offset`: see delta_merge(). On the host several threads
  /// may feed tensors at once.
  void feed(const at::Tensor& base, const std::vector<at::Tensor>& experts,
            const std::vector<DeltaTerm>& terms, int64_t offset = 0);
  /// After a pass: whether another is needed.
  bool next();

  struct Found {
    uint32_t bits = 0;  ///< magnitude_bits() of the selected one
    int64_t equal = 0;  ///< how many have exactly that magnitude
    int64_t below = 0;  ///< how many have a smaller one
  };
  const Found& found(size_t expert) const { return searches_[expert].found; }

 private:
  static constexpr uint32_t kNone = ~0u;  ///< no magnitude
  struct Search {
    int64_t rank;
    bool done = false;
    bool rounded = true;  ///< all deltas fed so far had bfloat16's bits alone
    MagnitudeRange range{};
    uint32_t likely = kNone;  ///< a magnitude in the range that is counted apart: many may have it
    int64_t below = 0, equal = 0;
    std::vector<int64_t> histogram{};
    std::vector<uint16_t> sample{};  ///< upper16
    Found found{};
  };
  void note_rounding(const std::vector<DeltaTerm>& terms);
  void take_sample(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                   const std::vector<DeltaTerm>& terms, int64_t offset);
  void count_on_cuda(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                     int64_t offset, Search& search) const;
  void begin(Search& search, uint32_t low, uint32_t span) const;
  void guess(Search& search) const;
  void narrow(Search& search) const;

  int64_t count_;
  bool sampling_;
  std::mutex mutex_;  ///< held to change what passes find
  std::vector<Search> searches_;
};

/// Where the prefix of the flattened tensor ends that holds `ties` elements of exactly the given
/// magnitude, and how many it found up to there. `end` is DeltaTerm::tie_end: an index in the whole
/// tensor of which this one is the part from `offset` on, or the int64 maximum when this part holds
/// no more ties than that. The term's threshold must be 0.
struct TieEnd {
  int64_t end;
  int64_t found;
};
TieEnd find_tie_end(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    uint32_t bits, int64_t ties, int64_t offset = 0);

namespace cuda {
/// Adds to histogram[range.bins()], on the device, and behind it how many lie below the range.
void magnitude_histogram(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                         int64_t elements, MagnitudeRange range, unsigned long long* histogram,
                         void* stream);
}  // namespace cuda

}  // namespace assay
