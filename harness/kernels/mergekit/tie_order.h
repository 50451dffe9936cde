/// Which entries of a tensor are kept of those that tie at a trim threshold, as mergekit keeps
/// them: it sorts all magnitudes with libstdc++'s std::sort (through LibTorch's argsort) and takes
/// the first. That sort, introsort (D. Musser, 1997), is not stable, but its choice is a function
/// of the magnitudes in their order. In bfloat16 about one entry in a hundred ties.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <variant>
#include <vector>

#include "harness/core/scratch_memory.h"
#include "harness/kernels/task_vector/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// Memory for keys, not cleared: on the heap, or in a scratch file.
template <typename Key>
struct KeyBuffer {
  std::unique_ptr<Key[]> keys{};
  size_t size = 0;  ///< of the heap's, which may be more than what it is for
  ScratchMemory scratch{};

  Key* data() const { return scratch.data() ? reinterpret_cast<Key*>(scratch.data()) : keys.get(); }
  /// Keys [begin, end) are not needed soon.
  void release(size_t begin, size_t end) const {
    if (scratch.data()) scratch.release(begin * sizeof(Key), end * sizeof(Key));
  }
};

/// Usage: feed() every part of a tensor, in any order; then select() once. Keys take 2 bytes per
/// element where deltas are rounded to bfloat16, else 4, in memory that is used again by the next
/// TieOrder; with a scratch folder they lie in a file there, and a small window of them in memory.
/// select() takes some 28 bytes for each element that ties, and up to 12 for each near the last
/// that is kept, which is about one in fifty.
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

  /// Takes in |delta_element()| of a part whose first element is number `offset` of the tensor, a
  /// multiple of 64. The term's threshold must be 0.
  void feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
            int64_t offset);

  struct Selection {
    uint32_t bits = 0;                  ///< DeltaTerm::threshold
    bool all_ties = false;              ///< all elements of that magnitude are kept, or it is 0
    std::vector<uint64_t> keep_mask{};  ///< else those whose bit is set: DeltaTerm::keep_mask
  };
  /// Follows the sort only where it decides about element `kept`, so the work is linear in the
  /// number of elements; on this thread alone.
  Selection select();

 private:
  template <typename Key>
  Selection select(const KeyBuffer<Key>& buffer) const;

  int64_t elements_, kept_;
  std::variant<KeyBuffer<uint16_t>, KeyBuffer<uint32_t>> keys_;
};

}  // namespace assay
