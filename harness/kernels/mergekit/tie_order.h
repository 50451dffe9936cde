/// Which entries of a tensor are kept of those that tie at a trim threshold, as mergekit keeps
/// them: it sorts all magnitudes with libstdc++'s std::sort (through LibTorch's argsort) and takes
/// the first. That sort, introsort (D. Musser, 1997), is not stable, but its choice is a function
/// of the magnitudes in their order. In bfloat16 about one entry in a hundred ties.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "harness/core/scratch_memory.h"
#include "harness/kernels/mergekit/near_keys.h"
#include "harness/kernels/select/sample_range.h"
#include "harness/kernels/task_vector/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// Memory for keys, not cleared: on the heap, or in a scratch file.
template <typename Key>
struct KeyRoom {
  std::unique_ptr<Key[]> keys;
  size_t size = 0;
  ScratchMemory scratch{};

  Key* data() const { return scratch.data() ? reinterpret_cast<Key*>(scratch.data()) : keys.get(); }
  /// Keys [begin, end) are not needed soon.
  void release(size_t begin, size_t end) const {
    if (scratch.data()) scratch.release(begin * sizeof(Key), end * sizeof(Key));
  }
};

/// What TieOrder holds.
template <typename Key>
struct TieKeys {
  using Type = Key;
  KeyRoom<Key> room;          ///< which may be larger than what it is for
  std::span<Key> magnitudes;  ///< the part of it that is used
  std::vector<Key> sample{};
  SampleRange<Key> near{};      ///< where the least that is kept is expected, zeros left out
  bool all_above_zero = false;  ///< whether near and what is above it are all that is not 0
  std::vector<NearKeys<Key>> nearby{};  ///< per block; empty: nothing is expected
  int64_t above = 0;                    ///< how many are beyond it
};

/// Usage: glance() at some parts of a large tensor if that is cheap; feed() every part, in any
/// order, after a glance from multiples of kBlock on; then select() once. Takes 2 bytes per element
/// where deltas are rounded to bfloat16, else 4, which the program keeps for the next; and 4 to 6
/// for those near the least that is kept, one in eight at most if the glances show what is there;
/// select() takes some 28 for each that ties, and 2 to 4 for those near. With a scratch folder the
/// keys of all elements lie in a file there, and a small window of them in memory.
class TieOrder {
 public:
  /// Of the first `kept`, at least 1, of all elements, fewer than kMostElements, in descending
  /// order of magnitude.
  static constexpr int64_t kMostElements = int64_t{1} << 32;
  /// `scratch`: a folder; empty: keys lie in memory.
  TieOrder(int64_t elements, int64_t kept, DType rounding,
           const std::filesystem::path& scratch = {});
  /// Of the keys of so many elements.
  static int64_t key_bytes(int64_t elements, DType rounding);
  ~TieOrder();
  TieOrder(TieOrder&&) = default;
  TieOrder& operator=(TieOrder&&) = delete;

  /// A part that stands for others in a guess at the least that is kept, so that the elements near
  /// it are found while they are fed. A bad guess costs time, nothing else.
  void glance(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
              int64_t offset);
  /// Takes in |delta_element()| of a part whose first element is number `offset` of the tensor. The
  /// term's threshold must be 0.
  void feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
            int64_t offset);

  struct Selection {
    uint32_t bits = 0;                  ///< magnitude_bits() of the least that is kept
    bool all_ties = false;              ///< all elements of that magnitude are kept, or it is 0
    std::vector<uint64_t> kept_ties{};  ///< else the bits of those that are: DeltaTerm::kept_ties
  };
  /// Follows the sort only where it decides about element `kept`, so the work is linear in the
  /// number of elements; on this thread alone.
  Selection select();

 private:
  template <typename Key>
  void begin(TieKeys<Key>& keys) const;
  template <typename Key>
  Selection select(TieKeys<Key>& keys) const;

  int64_t kept_;
  std::variant<TieKeys<uint16_t>, TieKeys<uint32_t>> keys_;
};

}  // namespace assay
