#include <algorithm>
#include <bit>
#include <cstring>

#include "harness/kernels/isa.h"
#include "harness/kernels/loops_delta.h"

namespace assay {
namespace {

constexpr int64_t kCounters = 32;          ///< that go through the generator side by side
constexpr int64_t kDraws = 8 * kCounters;  ///< of them

/// first_draw() of elements [index, index + kDraws), `index` a multiple of 8.
ASSAY_VECTORISED
void first_draws(uint64_t key, int64_t index, uint16_t* __restrict out) {
  uint32_t c0[kCounters], c1[kCounters], c2[kCounters], c3[kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    const uint64_t counter = static_cast<uint64_t>(index) / 8 + static_cast<uint64_t>(i);
    c0[i] = static_cast<uint32_t>(counter);
    c1[i] = static_cast<uint32_t>(counter >> 32);
    c2[i] = c3[i] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < kPhiloxRounds; ++round) {
    for (int64_t i = 0; i < kCounters; ++i) philox_round(c0[i], c1[i], c2[i], c3[i], k0, k1);
    philox_next_key(k0, k1);
  }
  uint32_t words[4 * kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
  static_assert(std::endian::native == std::endian::little, "low halves come first");
  memcpy(out, words, sizeof words);
}

#ifdef ASSAY_VECTORS_512
/// The same with words in the lower halves of 64-bit lanes, where they are multiplied; nothing
/// looks at the upper halves.
ASSAY_TARGET_512 void first_draws_512(uint64_t key, int64_t index, uint16_t* out) {
  constexpr int64_t kLanes = 8, kVectors = kCounters / kLanes;
  constexpr int kXor = 0x96;  // of three
  __m512i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  for (int64_t v = 0; v < kVectors; ++v) {
    c0[v] = _mm512_add_epi64(_mm512_set1_epi64(index / 8 + kLanes * v), lanes);
    c1[v] = _mm512_srli_epi64(c0[v], 32);
    c2[v] = c3[v] = _mm512_setzero_si512();
  }
  const __m512i m0 = _mm512_set1_epi64(kPhiloxMultiplier0);
  const __m512i m1 = _mm512_set1_epi64(kPhiloxMultiplier1);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const __m512i x0 = _mm512_set1_epi64(k0), x1 = _mm512_set1_epi64(k1);
#pragma GCC unroll 4
    for (int64_t v = 0; v < kVectors; ++v) {
      const __m512i p0 = _mm512_mul_epu32(m0, c0[v]), p1 = _mm512_mul_epu32(m1, c2[v]);
      c0[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[v], x0, kXor);
      c2[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[v], x1, kXor);
      c1[v] = p1;
      c3[v] = p0;
    }
    philox_next_key(k0, k1);
  }
  const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
  const __m512i second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
  constexpr __mmask16 kUpper = 0xaaaa;
  for (int64_t v = 0; v < kVectors; ++v) {
    const __m512i one = _mm512_mask_blend_epi32(kUpper, c0[v], _mm512_slli_epi64(c1[v], 32));
    const __m512i two = _mm512_mask_blend_epi32(kUpper, c2[v], _mm512_slli_epi64(c3[v], 32));
    uint16_t* to = out + 8 * kLanes * v;
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(one, first, two));
    _mm512_storeu_si512(to + 4 * kLanes, _mm512_permutex2var_epi64(one, second, two));
  }
}
#endif

/// Sets the bits of draws that keep, not below the level, and clears the others; returns whether a
/// second draw decides about some.
ASSAY_VECTORISED
bool keeping(const uint16_t* __restrict draws, uint32_t level, int64_t size,
             uint32_t* __restrict kept) {
  uint32_t equal = 0;
  const auto gather = [&](int64_t first, int64_t some) __attribute__((always_inline)) {
    uint32_t bits = 0;
    for (int64_t j = 0; j < some; ++j) {
      bits |= (draws[first + j] >= level ? 1U : 0U) << static_cast<uint32_t>(j);
      equal |= draws[first + j] == level ? 1U : 0U;
    }
    kept[first / kMaskBits] = bits;
  };
  int64_t first = 0;
  for (; first + kMaskBits <= size; first += kMaskBits) gather(first, kMaskBits);
  if (first < size) gather(first, size - first);
  return equal != 0;
}

#ifdef ASSAY_VECTORS_512
/// The same of whole words of bits.
ASSAY_TARGET_512 bool keeping_512(const uint16_t* draws, uint32_t level, int64_t size,
                                  uint32_t* kept) {
  const __m512i levels = _mm512_set1_epi16(static_cast<int16_t>(level));
  const uint32_t some_keep = level > 0xffff ? 0 : ~0U;
  uint32_t equal = 0;
  for (int64_t j = 0; j < size; j += kMaskBits) {
    const __m512i some = _mm512_loadu_si512(draws + j);
    kept[j / kMaskBits] = some_keep & _mm512_cmpge_epu16_mask(some, levels);
    equal |= some_keep & _mm512_cmpeq_epi16_mask(some, levels);
  }
  return equal != 0;
}
#endif

/// Makes the least of what is dropped kDropped, of what is kept 0 or, with `trimmed`, what it was.
ASSAY_VECTORISED
void spread_drops(const uint32_t* __restrict kept, bool trimmed, int64_t size,
                  uint32_t* __restrict least) {
  const auto spread = [&](int64_t first, uint32_t bits, int64_t some)
      __attribute__((always_inline)) {
    for (int64_t j = 0; j < some; ++j) {
      const bool keeps = (bits >> static_cast<uint32_t>(j) & 1U) != 0;
      least[first + j] = keeps ? (trimmed ? least[first + j] : 0) : kDropped;
    }
  };
  int64_t first = 0;
  for (; first + kMaskBits <= size; first += kMaskBits)
    spread(first, kept[first / kMaskBits], kMaskBits);
  if (first < size) spread(first, kept[first / kMaskBits], size - first);
}

/// The threshold where a bit is set, one more where none is.
ASSAY_VECTORISED
void least_of_ties(const uint64_t* kept, uint32_t threshold, int64_t size,
                   uint32_t* __restrict out) {
  const auto spread = [&](int64_t first, uint32_t bits, int64_t some)
      __attribute__((always_inline)) {
    for (int64_t j = 0; j < some; ++j)
      out[first + j] = threshold + 1 - (bits >> static_cast<uint32_t>(j) & 1U);
  };
  int64_t first = 0;
  for (; first + kMaskBits <= size; first += kMaskBits)
    spread(first, static_cast<uint32_t>(kept[first / 64] >> first % 64), kMaskBits);
  if (first < size)
    spread(first, static_cast<uint32_t>(kept[first / 64] >> first % 64), size - first);
}

}  // namespace

void kept_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* kept) {
  const DropLevel at = drop_level(term.drop);
  uint16_t draws[kDraws];
  for (int64_t first = 0; first < size; first += kDraws) {
    const int64_t some = std::min(size - first, kDraws);
    uint32_t* here = kept + first / kMaskBits;
    bool undecided = false;
#ifdef ASSAY_VECTORS_512
    const bool wide = has_vectors_512();
    wide ? first_draws_512(term.key, index + first, draws)
         : first_draws(term.key, index + first, draws);
    undecided = wide && some % kMaskBits == 0 ? keeping_512(draws, at.level, some, here)
                                              : keeping(draws, at.level, some, here);
#else
    first_draws(term.key, index + first, draws);
    undecided = keeping(draws, at.level, some, here);
#endif
    if (!undecided || at.rest == 0.0f) continue;
    for (int64_t j = 0; j < some; ++j)
      if (draws[j] == at.level && second_draw(term.key, index + first + j) < at.rest)
        here[j / kMaskBits] &= ~(1U << j % kMaskBits);
  }
}

void least_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* out) {
  if (term.threshold == 0) {
    if (term.drop == 0.0f) std::fill_n(out, size, 0);
  } else {
    if (term.kept_ties) {
      least_of_ties(term.kept_ties + index / 64, term.threshold, size, out);
    } else {  // it changes once, at tie_end
      const int64_t turn = std::clamp<int64_t>(term.tie_end - index, 0, size);
      std::fill_n(out, turn, term.threshold);
      std::fill_n(out + turn, size - turn, term.threshold + 1);
    }
  }
  if (term.drop == 0.0f) return;
  RunMask kept;
  kept_run(term, index, size, kept);
  spread_drops(kept, term.threshold != 0, size, out);
}

}  // namespace assay
