#include <bit>
#include <cstring>

#include "harness/kernels/internal/isa.h"
#include "harness/kernels/task_vector/vector_loops.h"

#ifdef ASSAY_VECTORS_512

namespace assay {
namespace {

constexpr int64_t kCounters = 32;      ///< that go through the generator at once
constexpr int64_t kDrawsOfBlock = 16;  ///< bytes

// Earns the DARE row of bench_merging: see harness/kernels/README.md.

/// Blocks of the generator, eight to a vector, words in the lower 32 bits of 64-bit lanes,
/// where they are multiplied; nothing looks at the upper ones.
template <int kVectors>
struct Blocks512 {
  __m512i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];

  ASSAY_TARGET_512 void generate(uint64_t key) {
    constexpr int kXor = 0x96;  // of three
    const __m512i m0 = _mm512_set1_epi64(kPhiloxMultiplier0);
    const __m512i m1 = _mm512_set1_epi64(kPhiloxMultiplier1);
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < kPhiloxRounds; ++round) {
      const __m512i x0 = _mm512_set1_epi64(k0), x1 = _mm512_set1_epi64(k1);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const __m512i p0 = _mm512_mul_epu32(m0, c0[v]), p1 = _mm512_mul_epu32(m1, c2[v]);
        c0[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[v], x0, kXor);
        c2[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[v], x1, kXor);
        c1[v] = p1;
        c3[v] = p0;
      }
      philox_next_key(k0, k1);
    }
  }
};
constexpr int kLanes512 = 8;

/// first_draw() of a run.
ASSAY_TARGET_512 void first_draws_512(uint64_t key, int64_t index, uint8_t* out) {
  constexpr int kVectors = kCounters / kLanes512;
  Blocks512<kVectors> blocks;
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  for (int v = 0; v < kVectors; ++v) {
    const int64_t first = index / kDrawsOfBlock + int64_t{kLanes512} * v;
    blocks.c0[v] = _mm512_add_epi64(_mm512_set1_epi64(first), lanes);
    blocks.c1[v] = _mm512_srli_epi64(blocks.c0[v], 32);
    blocks.c2[v] = blocks.c3[v] = _mm512_setzero_si512();
  }
  blocks.generate(key);
  const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
  const __m512i second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
  constexpr __mmask16 kUpper = 0xaaaa;
  for (int v = 0; v < kVectors; ++v) {
    const auto joined = [&](__m512i low, __m512i high) ASSAY_TARGET_512 {
      return _mm512_mask_blend_epi32(kUpper, low, _mm512_slli_epi64(high, 32));
    };
    const __m512i one = joined(blocks.c0[v], blocks.c1[v]);
    const __m512i two = joined(blocks.c2[v], blocks.c3[v]);
    uint8_t* to = out + kDrawsOfBlock * kLanes512 * v;
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(one, first, two));
    _mm512_storeu_si512(to + 64, _mm512_permutex2var_epi64(one, second, two));
  }
}

/// Which of eight elements second_draw() drops.
ASSAY_TARGET_512 uint32_t second_drops_512(uint64_t key, const int64_t* index, float rest) {
  Blocks512<1> blocks;
  blocks.c0[0] = _mm512_loadu_si512(index);
  blocks.c1[0] = _mm512_srli_epi64(blocks.c0[0], 32);
  blocks.c2[0] = _mm512_set1_epi64(1);
  blocks.c3[0] = _mm512_setzero_si512();
  blocks.generate(key);
  // bits_to_uniform(), in a vector of which half counts
  const __m256i words = _mm512_cvtepi64_epi32(blocks.c0[0]);
  const __m512 draws =
      _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_castsi256_si512(words), 8)),
                    _mm512_set1_ps(1.0F / 16777216.0F));
  return _mm512_cmp_ps_mask(draws, _mm512_set1_ps(rest), _CMP_LT_OQ) & 0xffU;
}
/// keep_mask_run() of whole vectors.
ASSAY_TARGET_512 void keep_mask_512(const DeltaTerm& term, int64_t index, int64_t size,
                                    uint32_t* mask) {
  constexpr int64_t kBytes = 64, kWords = kRun / kBytes;
  const DropLevel at = drop_level(term.drop);
  alignas(kBytes) uint8_t draws[kRun];
  first_draws_512(term.key, index, draws);
  const __m512i level = _mm512_set1_epi8(static_cast<char>(at.level));
  const uint64_t all = at.level > 0xff ? 0 : ~uint64_t{0};
  uint64_t keeps[kWords + 1];
  keeps[kWords] = 0;  // of no elements
  int64_t undecided[kRun + kLanes512];
  int64_t count = 0;
  for (int64_t word = 0; word < size / kBytes; ++word) {
    const __m512i some = _mm512_load_si512(draws + kBytes * word);
    keeps[word] = all & _mm512_cmpge_epu8_mask(some, level);
    if (at.rest == 0.0F) continue;
    // Whether there is one is unpredictable for a branch; two are rare.
    uint64_t equal = _mm512_cmpeq_epi8_mask(some, level);
    do {
      undecided[count] = index + kBytes * word + std::countr_zero(equal);
      count += equal != 0 ? 1 : 0;
      equal &= equal - 1;
    } while (equal != 0);
  }
  for (int64_t j = 0; j < count; j += kLanes512) {
    for (int64_t i = count; i < j + kLanes512; ++i) undecided[i] = index + kRun;
    const uint32_t drops = second_drops_512(term.key, undecided + j, at.rest);
    // In steps that do not depend on the draws, which nothing then waits for.
    for (int i = 0; i < kLanes512; ++i) {
      const int64_t place = undecided[j + i] - index;
      keeps[place / kBytes] &= ~(static_cast<uint64_t>(drops >> i & 1U) << place % kBytes);
    }
  }
  memcpy(mask, keeps, static_cast<size_t>(size) / 8);
}
}  // namespace

void add_vector_draws(VectorLoops& loops) { loops.keep_mask = keep_mask_512; }

}  // namespace assay
#endif
