#include <algorithm>
#include <bit>
#include <cstring>

#include "harness/kernels/internal/isa.h"
#include "harness/kernels/task_vector/vector_loops.h"

namespace assay {
namespace {

constexpr int64_t kCounters = 32;      ///< that go through the generator at once
constexpr int64_t kDrawsOfBlock = 16;  ///< bytes
static_assert(kCounters * kDrawsOfBlock == kRun);

/// first_draw() of a run, `index` a multiple of kDrawsOfBlock.
ASSAY_VECTORISED
void first_draws(uint64_t key, int64_t index, uint8_t* __restrict out) {
  uint32_t c0[kCounters], c1[kCounters], c2[kCounters], c3[kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    const uint64_t counter = static_cast<uint64_t>(index / kDrawsOfBlock + i);
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
  static_assert(std::endian::native == std::endian::little, "low bytes come first");
  for (int64_t i = 0; i < kCounters; ++i) {
    const uint32_t words[] = {c0[i], c1[i], c2[i], c3[i]};
    memcpy(out + kDrawsOfBlock * i, words, sizeof words);
  }
}

/// Calls `body` with the place of every element of a run and whether its bit is set.
template <typename Body>
ASSAY_ELEMENT void for_bits(const uint32_t* mask, int64_t size, const Body& body) {
  for (int64_t first = 0; first < size; first += kMaskBits) {
    const uint32_t bits = mask[first / kMaskBits];
    const int64_t some = std::min(kMaskBits, size - first);
    for (int64_t j = 0; j < some; ++j)
      body(first + j, (bits >> static_cast<uint32_t>(j) & 1U) != 0);
  }
}

uint32_t low_bits(int64_t count) {
  return static_cast<uint32_t>((uint64_t{1} << static_cast<uint64_t>(count)) - 1);
}

ASSAY_VECTORISED
void set_where_clear(const uint32_t* mask, uint32_t value, int64_t size, uint32_t* __restrict out) {
  for_bits(mask, size, [&](int64_t j, bool bit) ASSAY_INLINED { out[j] = bit ? out[j] : value; });
}

}  // namespace

void keep_mask_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* mask) {
  if (const auto loop = vector_loops().keep_mask; loop && size % kVectorRun == 0)
    return loop(term, index, size, mask);
  const DropLevel at = drop_level(term.drop);
  uint8_t draws[kRun];
  first_draws(term.key, index, draws);
  std::fill_n(mask, (size + kMaskBits - 1) / kMaskBits, 0);
  for (int64_t j = 0; j < size; ++j) {
    const bool drops =
        draws[j] == at.level ? second_draw(term.key, index + j) < at.rest : draws[j] < at.level;
    mask[j / kMaskBits] |= (drops ? 0U : 1U) << j % kMaskBits;
  }
}

void tie_mask_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* mask) {
  const int64_t words = (size + 63) / 64;
  if (term.keep_mask)
    memcpy(mask, term.keep_mask + index / 64, static_cast<size_t>(words) * sizeof(uint64_t));
  else  // it changes once, at tie_end
    for (int64_t j = 0; j < 64 * words; j += kMaskBits)
      mask[j / kMaskBits] = low_bits(std::clamp<int64_t>(term.tie_end - index - j, 0, kMaskBits));
}

void keep_threshold_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* out) {
  RunMask mask;
  std::fill_n(out, size, term.threshold);
  if (term.keep_mask || term.tie_end < index + size) {
    tie_mask_run(term, index, size, mask);
    set_where_clear(mask, term.threshold + 1, size, out);
  }
  if (term.drop == 0.0f) return;
  keep_mask_run(term, index, size, mask);
  set_where_clear(mask, kDropped, size, out);
}

}  // namespace assay
