/// Hoare's partition, as std::sort does it, of 16-bit keys in vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/kernels/mergekit/key_vectors.h"

namespace assay {

/// Where the keys of one value, the tie, went in a partition, in the order in which they moved:
/// rising places on the left, falling ones on the right.
struct MovedTies {
  std::vector<uint32_t> to_left, to_right;
};

#ifdef ASSAY_KEY_VECTORS

/// In a partition in descending order, keys not greater than the pivot leave the left side and keys
/// not smaller leave the right one; the first from the left changes places with the first from the
/// right, and so on. This does it in vectors from both ends, without branches that depend on keys.
/// The side where the tie cannot be is not put in order: nothing reads it again.
class VectorPartition {
 public:
  VectorPartition(uint16_t* keys, uint16_t pivot, uint16_t tie, MovedTies& moved)
      : keys_(keys), pivot_(pivot), tie_(tie), moved_(moved) {}

  /// Exchanges as long as there are some vectors between the ends, or until about `most` keys are
  /// settled; moves the ends over what is settled. False when that is nothing.
  ASSAY_KEY_TARGET bool run(size_t& begin, size_t& end, size_t most) {
    const size_t before = end - begin;
    if (pivot_ == tie_) {
      exchange(begin, end, most);
    } else if (pivot_ < tie_) {
      const auto [taken, given] = fill<true>(begin, end, std::min(before, most));
      begin += taken;
      end -= given;
    } else {
      const auto [taken, given] = fill<false>(begin, end, std::min(before, most));
      begin += given;
      end -= taken;
    }
    return end - begin < before;
  }

 private:
  static constexpr size_t kLanes = kVectorKeys, kChunk = 1024;
  static constexpr size_t kAtOnce = 8;  // vectors

  ASSAY_KEY_TARGET static __m512i reversed(__m512i keys) {
    const __m512i lanes =
        _mm512_set_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    return _mm512_permutexvar_epi16(lanes, keys);
  }
  ASSAY_KEY_TARGET static size_t count(uint32_t mask) {
    return static_cast<size_t>(_mm_popcnt_u32(mask));
  }

  // A side as seen from its end: a vector's lane 0 is next to that.
  template <bool kLeft>
  struct Side {
    uint16_t* end;
    ASSAY_KEY_TARGET __m512i load(size_t at) const {
      if constexpr (kLeft) return _mm512_loadu_si512(end + at);
      return reversed(_mm512_loadu_si512(end - at - kLanes));
    }
    ASSAY_KEY_TARGET void store(size_t at, __m512i keys) const {
      if constexpr (kLeft)
        _mm512_storeu_si512(end + at, keys);
      else
        _mm512_storeu_si512(end - at - kLanes, reversed(keys));
    }
    ASSAY_KEY_TARGET static uint32_t leaving(__m512i keys, __m512i pivot) {
      return kLeft ? _mm512_cmple_epu16_mask(keys, pivot) : _mm512_cmpge_epu16_mask(keys, pivot);
    }
  };

  struct Settled {
    size_t taken, given;  // keys of the side that is filled and of the other
  };

  // Puts one side in order: what leaves the other waits in a queue for places. Stops when `size`
  // keys are nearly settled.
  template <bool kLeft>
  ASSAY_KEY_TARGET Settled fill(size_t begin, size_t end, size_t size) {
    const Side<kLeft> taking{keys_ + (kLeft ? begin : end)};
    const Side<!kLeft> giving{keys_ + (kLeft ? end : begin)};
    const __m512i pivot = all_lanes(pivot_), tie = all_lanes(tie_);
    const size_t first = kLeft ? begin : end - 1;
    std::vector<uint32_t>& moved = kLeft ? moved_.to_left : moved_.to_right;
    alignas(64) uint16_t queue[(kAtOnce + 2) * kLanes];
    size_t taken = 0, given = 0, head = 0, tail = 0;
    while (true) {
      if (tail - head < kLanes) {
        if (taken + given + (kAtOnce + 1) * kLanes > size) break;
        _mm512_storeu_si512(queue, _mm512_loadu_si512(queue + head));
        tail -= head;
        head = 0;
        for (const size_t stop = given + kAtOnce * kLanes; given < stop; given += kLanes) {
          const __m512i keys = giving.load(given);
          const uint32_t leaving = giving.leaving(keys, pivot);
          _mm512_storeu_si512(queue + tail, _mm512_maskz_compress_epi16(leaving, keys));
          tail += count(leaving);
        }
      }
      // Ties are few: they are noted without a branch, vectors that hold some.
      size_t places_of_ties[kAtOnce + 2], noted = 0;
      uint32_t ties[kAtOnce + 2];
      while (tail - head >= kLanes && taken + given + kLanes <= size && noted <= kAtOnce) {
        const __m512i keys = taking.load(taken);
        const uint32_t leaving = taking.leaving(keys, pivot);
        const __m512i now =
            _mm512_mask_expand_epi16(keys, leaving, _mm512_loadu_si512(queue + head));
        taking.store(taken, now);
        head += count(leaving);
        places_of_ties[noted] = taken;
        ties[noted] = _mm512_mask_cmpeq_epi16_mask(leaving, now, tie);
        noted += ties[noted] != 0 ? 1 : 0;
        taken += kLanes;
      }
      for (size_t i = 0; i < noted; ++i) {
        uint32_t left = ties[i];
        do {
          const size_t at = places_of_ties[i] + _tzcnt_u32(left);
          add(moved, kLeft ? first + at : first - at);
          left = _blsr_u32(left);
        } while (left != 0);
      }
      if (taken + given + kLanes > size) break;
    }
    // What still waits has not left.
    for (size_t waiting = tail - head; waiting > 0;) {
      given -= kLanes;
      const uint32_t leaving = giving.leaving(giving.load(given), pivot);
      const size_t here = count(leaving);
      if (here >= waiting) {
        given += _tzcnt_u32(_pdep_u32(1U << (here - waiting), leaving));
        break;
      }
      waiting -= here;
    }
    return {taken, given};
  }

  // Puts both sides in order, a chunk of either at a time.
  ASSAY_KEY_TARGET void exchange(size_t& begin, size_t& end, size_t most) {
    const size_t size = end - begin;
    while (end - begin >= 2 * kChunk && size - (end - begin) < most) {
      const Side<true> left{keys_ + begin};
      const Side<false> right{keys_ + end};
      const size_t lefts = leave(left, from_left_), rights = leave(right, from_right_);
      const size_t pairs = std::min(lefts, rights);
      const size_t settled_left =
          enter(left, from_right_, pairs, [&](size_t at) { add(moved_.to_left, begin + at); });
      const size_t settled_right =
          enter(right, from_left_, pairs, [&](size_t at) { add(moved_.to_right, end - 1 - at); });
      begin += lefts == pairs ? kChunk : settled_left;
      end -= rights == pairs ? kChunk : settled_right;
    }
  }

  static void add(std::vector<uint32_t>& places, size_t place) {
    places.push_back(static_cast<uint32_t>(place));
  }

  // Copies what is to leave a chunk, in the order of leaving; returns how many that are.
  template <typename End>
  ASSAY_KEY_TARGET size_t leave(const End& side, uint16_t* out) const {
    size_t left = 0;
    for (size_t at = 0; at < kChunk; at += kLanes) {
      const __m512i keys = side.load(at);
      const uint32_t leaving = side.leaving(keys, all_lanes(pivot_));
      _mm512_storeu_si512(out + left, _mm512_maskz_compress_epi16(leaving, keys));
      left += count(leaving);
    }
    return left;
  }

  // Writes `pairs` keys over those that leave, and calls `note` with the places of ties among them;
  // returns how far that reaches.
  template <typename End, typename Note>
  ASSAY_KEY_TARGET size_t enter(const End& side, const uint16_t* entering, size_t pairs,
                                const Note& note) const {
    for (size_t entered = 0, at = 0; entered < pairs; at += kLanes) {
      const __m512i keys = side.load(at);
      uint32_t places = side.leaving(keys, all_lanes(pivot_));
      if (entered + count(places) > pairs)
        places = _pdep_u32(_bzhi_u32(~0U, static_cast<uint32_t>(pairs - entered)), places);
      const __m512i now =
          _mm512_mask_expand_epi16(keys, places, _mm512_loadu_si512(entering + entered));
      side.store(at, now);
      for (uint32_t t = _mm512_mask_cmpeq_epi16_mask(places, now, all_lanes(tie_)); t != 0;
           t = _blsr_u32(t))
        note(at + _tzcnt_u32(t));
      entered += count(places);
      if (entered == pairs) return at + kLanes - _lzcnt_u32(places);
    }
    return 0;
  }

  uint16_t* keys_;
  uint16_t pivot_, tie_;
  MovedTies& moved_;
  alignas(64) uint16_t from_left_[kChunk + kLanes], from_right_[kChunk + kLanes];
};

#endif

}  // namespace assay
