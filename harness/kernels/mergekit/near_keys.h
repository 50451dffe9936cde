/// Keys near one that is looked for, and where they stand.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "harness/kernels/blocks.h"
#include "harness/kernels/select/sample_range.h"
#include "harness/kernels/task_vector/avx512/key_vectors.h"

namespace assay {

/// Of a block: keys and their places in it, rising.
template <typename Key>
struct NearKeys {
  std::vector<Key> keys;
  std::vector<uint16_t> places;
};
static_assert(kBlock <= int64_t{1} << 16, "places have 16 bits");

/// Picks keys of a range, block by block. One per thread.
template <typename Key>
class NearFinder {
 public:
  explicit NearFinder(SampleRange<Key> range) : range_(range) {}
  /// Keys from `place` of the block on.
  void take(const Key* keys, size_t size, size_t place) {
    size_t at = 0;
#ifdef ASSAY_KEY_VECTORS
    if constexpr (sizeof(Key) == sizeof(uint16_t))
      if (has_key_vectors()) {
        take_vectors(keys, size / kVectorKeys, place);
        at = size / kVectorKeys * kVectorKeys;
      }
#endif
    for (; at < size; ++at) {
      const Key key = keys[at];
      keys_[found_] = key;
      places_[found_] = static_cast<uint16_t>(place + at);
      found_ += key >= range_.low && key <= range_.high ? 1 : 0;
      above_ += key > range_.high ? 1 : 0;
    }
  }
  /// What was found in the block.
  NearKeys<Key> end_block() {
    const auto found = static_cast<int64_t>(std::exchange(found_, 0));
    return {{keys_.begin(), keys_.begin() + found}, {places_.begin(), places_.begin() + found}};
  }
  /// How many keys were greater, in all blocks.
  int64_t above() const { return above_; }

 private:
#ifdef ASSAY_KEY_VECTORS
  ASSAY_KEY_TARGET void take_vectors(const uint16_t* keys, size_t vectors, size_t place) {
    const __m512i low = all_lanes(range_.low), high = all_lanes(range_.high);
    __m512i places = _mm512_add_epi16(
        all_lanes(static_cast<uint16_t>(place)),
        _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,
                         12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    for (size_t i = 0; i < vectors; ++i) {
      const __m512i some = _mm512_loadu_si512(keys + i * kVectorKeys);
      const uint32_t above = _mm512_cmpgt_epu16_mask(some, high);
      const uint32_t near = _mm512_cmpge_epu16_mask(some, low) & ~above;
      _mm512_storeu_si512(keys_.data() + found_, _mm512_maskz_compress_epi16(near, some));
      _mm512_storeu_si512(places_.data() + found_, _mm512_maskz_compress_epi16(near, places));
      found_ += static_cast<size_t>(_mm_popcnt_u32(near));
      above_ += _mm_popcnt_u32(above);
      places = _mm512_add_epi16(places, all_lanes(kVectorKeys));
    }
  }
#else
  static constexpr size_t kVectorKeys = 1;
#endif

  static constexpr size_t kRoom = kBlock + kVectorKeys;  // a vector is written whole

  SampleRange<Key> range_;
  size_t found_ = 0;
  int64_t above_ = 0;
  std::array<Key, kRoom> keys_;
  std::array<uint16_t, kRoom> places_;
};

}  // namespace assay
