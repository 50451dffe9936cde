/// Keys near the one that is searched for, and their places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "harness/kernels/mergekit/partition.h"
#include "harness/kernels/select/sample_range.h"

namespace assay {

template <typename Key>
struct NearKeys {
  std::vector<Key> keys{};
  std::vector<uint32_t> places{};  ///< rising
  int64_t above = 0;               ///< how many keys are greater than those of the range

  /// Adds what is in the range of `more`, which are the keys from number `place` on.
  void add(std::span<const Key> more, size_t place, const SampleRange<Key>& range) {
    size_t at = 0;
#ifdef ASSAY_KEY_VECTORS
    if constexpr (sizeof(Key) == sizeof(uint16_t))
      if (has_key_vectors()) at = add_vectors(more, place, range);
#endif
    int64_t greater = 0;
    for (; at < more.size(); ++at) {
      const Key key = more[at];
      greater += key > range.high ? 1 : 0;
      if (key < range.low || key > range.high) continue;
      keys.push_back(key);
      places.push_back(static_cast<uint32_t>(place + at));
    }
    above += greater;
  }

 private:
#ifdef ASSAY_KEY_VECTORS
  /// Of whole vectors; returns how many keys that are.
  ASSAY_KEY_TARGET size_t add_vectors(std::span<const uint16_t> more, size_t place,
                                      const SampleRange<uint16_t>& range) {
    const __m512i low = all_lanes(range.low), high = all_lanes(range.high);
    size_t at = 0;
    const size_t end = more.size() / kVectorKeys * kVectorKeys;
    for (; at < end; at += kVectorKeys) {
      const __m512i some = _mm512_loadu_si512(more.data() + at);
      const uint32_t greater = _mm512_cmpgt_epu16_mask(some, high);
      uint32_t near = _mm512_cmpge_epu16_mask(some, low) & ~greater;
      above += _mm_popcnt_u32(greater);
      for (; near != 0; near = _blsr_u32(near)) {
        const size_t here = at + _tzcnt_u32(near);
        keys.push_back(more[here]);
        places.push_back(static_cast<uint32_t>(place + here));
      }
    }
    return at;
  }
#endif
};

}  // namespace assay
