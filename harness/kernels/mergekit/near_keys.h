/// Keys near the one that is searched for, and their places.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "harness/kernels/blocks.h"
#include "harness/kernels/mergekit/key_vectors.h"
#include "harness/kernels/select/sample_range.h"

namespace assay {

static_assert(kBlock <= int64_t{1} << 16, "places in a block have 16 bits");

template <typename Key>
struct NearKeys {
  std::vector<Key> keys{};
  std::vector<uint32_t> places{};  ///< rising
  int64_t above = 0;               ///< how many keys are greater than those of the range

  /// Adds what is in the range of `more`, a block or less: the keys from number `place` on.
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
    const size_t end = more.size() / kVectorKeys * kVectorKeys;
    __m512i lanes = _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                                     15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    std::array<uint16_t, kBlock + kVectorKeys> found, where;  // a vector is written whole
    size_t count = 0;
    for (size_t at = 0; at < end; at += kVectorKeys) {
      const __m512i some = _mm512_loadu_si512(more.data() + at);
      const uint32_t greater = _mm512_cmpgt_epu16_mask(some, high);
      const uint32_t near = _mm512_cmpge_epu16_mask(some, low) & ~greater;
      _mm512_storeu_si512(found.data() + count, _mm512_maskz_compress_epi16(near, some));
      _mm512_storeu_si512(where.data() + count, _mm512_maskz_compress_epi16(near, lanes));
      count += static_cast<size_t>(_mm_popcnt_u32(near));
      above += _mm_popcnt_u32(greater);
      lanes = _mm512_add_epi16(lanes, all_lanes(kVectorKeys));
    }
    keys.insert(keys.end(), found.begin(), found.begin() + static_cast<int64_t>(count));
    for (size_t i = 0; i < count; ++i) places.push_back(static_cast<uint32_t>(place + where[i]));
    return end;
  }
#endif
};

}  // namespace assay
