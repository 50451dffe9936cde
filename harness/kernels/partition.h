/// Hoare's partition, as std::sort does it, of 16-bit keys in vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define ASSAY_PARTITION_VECTORS
#endif

namespace assay {

/// Where the keys of one value, the tie, went in a partition, in the order in which they moved:
/// rising places on the left, falling ones on the right.
struct MovedTies {
  std::vector<size_t> to_left, to_right;
};

/// Sets the bits of `marks`, 64 keys a word, whose keys are in [low, high], and no others; returns
/// how many keys are greater.
template <typename Key>
size_t mark_between(const Key* keys, size_t size, Key low, Key high, uint64_t* marks);

#ifdef ASSAY_PARTITION_VECTORS

/// Whether this machine can do what follows.
inline bool has_partition_vectors() {
  return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
}

#define ASSAY_PARTITION_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,lzcnt,popcnt")))

constexpr size_t kVectorKeys = 32;

/// mark_between() of whole words' keys.
ASSAY_PARTITION_TARGET inline size_t mark_words_between(const uint16_t* keys, size_t words,
                                                        uint16_t low, uint16_t high,
                                                        uint64_t* marks) {
  const __m512i least = _mm512_set1_epi16(static_cast<int16_t>(low));
  const __m512i most = _mm512_set1_epi16(static_cast<int16_t>(high));
  size_t above = 0;
  for (size_t word = 0; word < words; ++word) {
    const __m512i first = _mm512_loadu_si512(keys + 64 * word);
    const __m512i second = _mm512_loadu_si512(keys + 64 * word + kVectorKeys);
    const auto together = [](uint32_t one, uint32_t other) {
      return uint64_t{other} << kVectorKeys | one;
    };
    const uint64_t beyond =
        together(_mm512_cmpgt_epu16_mask(first, most), _mm512_cmpgt_epu16_mask(second, most));
    const uint64_t reached =
        together(_mm512_cmpge_epu16_mask(first, least), _mm512_cmpge_epu16_mask(second, least));
    marks[word] = reached & ~beyond;
    above += static_cast<size_t>(_mm_popcnt_u64(beyond));
  }
  return above;
}

/// In a partition in descending order, keys not greater than the pivot leave the left side and keys
/// not smaller leave the right one; the first from the left changes places with the first from the
/// right, and so on. This does it in chunks from both ends, where the order of branches that cannot
/// be foretold is that of chunks, not of keys. On a side where the tie cannot be, keys are not put
/// in order: nobody goes on with it.
class VectorPartition {
 public:
  VectorPartition(uint16_t* keys, uint16_t pivot, uint16_t tie, MovedTies& moved)
      : keys_(keys),
        pivot_(pivot),
        tie_(tie),
        left_counts_(pivot <= tie),
        right_counts_(pivot >= tie),
        moved_(moved) {}

  /// Exchanges as long as two chunks are between the ends; moves them over what is settled.
  ASSAY_PARTITION_TARGET void run(size_t& begin, size_t& end) {
    while (end - begin >= 2 * kChunk) {
      const size_t lefts = leave_left(begin), rights = leave_right(end);
      const size_t pairs = std::min(lefts, rights);
      const size_t settled_left = left_counts_ || lefts > pairs ? come_left(begin, pairs) : 0;
      const size_t settled_right = right_counts_ || rights > pairs ? come_right(end, pairs) : 0;
      begin += lefts == pairs ? kChunk : settled_left;
      end -= rights == pairs ? kChunk : settled_right;
    }
  }

 private:
  static constexpr size_t kLanes = kVectorKeys, kChunk = 1024;

  ASSAY_PARTITION_TARGET static __m512i all(uint16_t key) {
    return _mm512_set1_epi16(static_cast<int16_t>(key));
  }
  // Lane l of the result is lane count - 1 - l.
  ASSAY_PARTITION_TARGET static __m512i mirrored(__m512i keys, uint32_t count) {
    const __m512i lanes =
        _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,
                         12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutexvar_epi16(_mm512_sub_epi16(all(static_cast<uint16_t>(count - 1)), lanes),
                                    keys);
  }
  ASSAY_PARTITION_TARGET static uint32_t count(uint32_t mask) {
    return static_cast<uint32_t>(_mm_popcnt_u32(mask));
  }

  // Copies out what is to leave a chunk, in the order of leaving; returns how many.
  ASSAY_PARTITION_TARGET size_t leave_left(size_t begin) {
    size_t left = 0;
    for (size_t at = begin; at < begin + kChunk; at += kLanes) {
      const __m512i keys = _mm512_loadu_si512(keys_ + at);
      const uint32_t leaving = _mm512_cmple_epu16_mask(keys, all(pivot_));
      if (right_counts_)
        _mm512_storeu_si512(from_left_ + left, _mm512_maskz_compress_epi16(leaving, keys));
      left += count(leaving);
    }
    return left;
  }
  ASSAY_PARTITION_TARGET size_t leave_right(size_t end) {
    size_t left = 0;
    for (size_t at = end - kLanes; at + kChunk >= end; at -= kLanes) {
      const __m512i keys = _mm512_loadu_si512(keys_ + at);
      const uint32_t leaving = _mm512_cmpge_epu16_mask(keys, all(pivot_));
      if (left_counts_) {
        const __m512i packed = _mm512_maskz_compress_epi16(leaving, keys);
        _mm512_storeu_si512(from_right_ + left, mirrored(packed, count(leaving)));
      }
      left += count(leaving);
    }
    return left;
  }

  // Puts as many as given in the places of those that left; returns how far that reaches.
  ASSAY_PARTITION_TARGET size_t come_left(size_t begin, size_t pairs) {
    size_t come = 0, at = begin;
    while (come < pairs) {
      const __m512i keys = _mm512_loadu_si512(keys_ + at);
      uint32_t places = _mm512_cmple_epu16_mask(keys, all(pivot_));
      if (come + count(places) > pairs)
        places = _pdep_u32(_bzhi_u32(~0U, static_cast<uint32_t>(pairs - come)), places);
      if (left_counts_) {
        const __m512i now =
            _mm512_mask_expand_epi16(keys, places, _mm512_loadu_si512(from_right_ + come));
        _mm512_storeu_si512(keys_ + at, now);
        for (uint32_t t = _mm512_mask_cmpeq_epi16_mask(places, now, all(tie_)); t != 0;
             t = _blsr_u32(t))
          moved_.to_left.push_back(at + _tzcnt_u32(t));
      }
      come += count(places);
      if (come == pairs) return at + kLanes - _lzcnt_u32(places) - begin;
      at += kLanes;
    }
    return 0;
  }
  ASSAY_PARTITION_TARGET size_t come_right(size_t end, size_t pairs) {
    size_t come = 0, at = end;
    while (come < pairs) {
      at -= kLanes;
      const __m512i keys = _mm512_loadu_si512(keys_ + at);
      uint32_t places = _mm512_cmpge_epu16_mask(keys, all(pivot_));
      if (const size_t over = come + count(places); over > pairs)
        places &= ~_pdep_u32(_bzhi_u32(~0U, static_cast<uint32_t>(over - pairs)), places);
      if (right_counts_) {
        const __m512i coming = mirrored(_mm512_loadu_si512(from_left_ + come), count(places));
        const __m512i now = _mm512_mask_expand_epi16(keys, places, coming);
        _mm512_storeu_si512(keys_ + at, now);
        for (uint32_t t = _mm512_mask_cmpeq_epi16_mask(places, now, all(tie_)); t != 0;) {
          const uint32_t lane = kLanes - 1 - _lzcnt_u32(t);
          moved_.to_right.push_back(at + lane);
          t &= ~(1U << lane);
        }
      }
      come += count(places);
      if (come == pairs) return end - (at + _tzcnt_u32(places));
    }
    return 0;
  }

  uint16_t* keys_;
  uint16_t pivot_, tie_;
  bool left_counts_, right_counts_;  // whether the side is one that the tie can be on
  MovedTies& moved_;
  alignas(64) uint16_t from_left_[kChunk + kLanes], from_right_[kChunk + kLanes];
};

#endif

template <typename Key>
size_t mark_between(const Key* keys, size_t size, Key low, Key high, uint64_t* marks) {
  size_t above = 0, at = 0;
#ifdef ASSAY_PARTITION_VECTORS
  if constexpr (sizeof(Key) == sizeof(uint16_t))
    if (has_partition_vectors()) {
      above = mark_words_between(keys, size / 64, low, high, marks);
      at = size / 64 * 64;
    }
#endif
  for (; at < size; at += 64) {
    uint64_t word = 0;
    for (size_t i = 0; i < std::min<size_t>(64, size - at); ++i) {
      const Key key = keys[at + i];
      word |= uint64_t{key >= low && key <= high} << i;
      above += key > high ? 1 : 0;
    }
    marks[at / 64] = word;
  }
  return above;
}

}  // namespace assay
