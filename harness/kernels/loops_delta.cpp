#include "harness/kernels/loops_delta.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "harness/kernels/isa.h"
#include "harness/kernels/loops.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define ASSAY_COMPRESS_VECTORS
#endif

namespace assay {
namespace {

// Bodies handed to with_storage() and the like are compiled for the instruction set of the function
// they stand in only when they are inlined.
#define ASSAY_INLINED __attribute__((always_inline))

constexpr int64_t kCounters = 32;  ///< counters that go through the generator side by side

/// first_draw() of elements [index, index + 8 * kCounters). Counters are kept in variables of type
/// Word, of 32 or 64 bits.
template <typename Word>
ASSAY_ELEMENT void first_draws(uint64_t key, int64_t index, uint16_t* __restrict out) {
  Word c0[kCounters], c1[kCounters], c2[kCounters], c3[kCounters];
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
    words[4 * i] = static_cast<uint32_t>(c0[i]);
    words[4 * i + 1] = static_cast<uint32_t>(c1[i]);
    words[4 * i + 2] = static_cast<uint32_t>(c2[i]);
    words[4 * i + 3] = static_cast<uint32_t>(c3[i]);
  }
  static_assert(std::endian::native == std::endian::little, "low halves come first");
  memcpy(out, words, sizeof words);
}

/// The dtype as a type where arithmetic in it is usual, for loops of their own.
template <typename Body>
ASSAY_ELEMENT void with_rounding(Storage rounding, const Body& body) {
  switch (rounding) {
    case Storage::kFloat32:
      return body([]() ASSAY_INLINED { return Storage::kFloat32; });
    case Storage::kFloat16:
      return body([]() ASSAY_INLINED { return Storage::kFloat16; });
    case Storage::kBFloat16:
      return body([]() ASSAY_INLINED { return Storage::kBFloat16; });
    default:
      return body([&]() ASSAY_INLINED { return rounding; });
  }
}

/// The reduction as a type, for loops of their own.
template <Reduce kReduce>
struct ReduceTag {
  static constexpr Reduce kValue = kReduce;
};
template <typename Body>
ASSAY_ELEMENT void with_reduction(Reduce reduce, const Body& body) {
  switch (reduce) {
    case Reduce::kSumAll:
      return;
    case Reduce::kMeanAgree:
      return body(ReduceTag<Reduce::kMeanAgree>{});
    case Reduce::kSumAgree:
      return body(ReduceTag<Reduce::kSumAgree>{});
    case Reduce::kMaxAgree:
      return body(ReduceTag<Reduce::kMaxAgree>{});
    case Reduce::kWeightedMeanAgree:
      return body(ReduceTag<Reduce::kWeightedMeanAgree>{});
  }
}

// Loops are over rows first and elements second; every element still sees the rows in their order.
// Each loop over elements stands in a function of its own, where compilers see that its arrays are
// apart.

/// Sets or adds to the votes.
ASSAY_VECTORISED
void vote_row(const float* __restrict row, bool first, Elect elect, int64_t size,
              float* __restrict votes) {
  if (elect == Elect::kMass && first)
    for (int64_t j = 0; j < size; ++j) votes[j] = vote(row[j], Elect::kMass);
  else if (elect == Elect::kMass)
    for (int64_t j = 0; j < size; ++j) votes[j] += vote(row[j], Elect::kMass);
  else if (first)
    for (int64_t j = 0; j < size; ++j) votes[j] = vote(row[j], Elect::kCount);
  else
    for (int64_t j = 0; j < size; ++j) votes[j] += vote(row[j], Elect::kCount);
}

ASSAY_VECTORISED
void settle_votes(float tie_sign, int64_t size, float* votes) {
  for (int64_t j = 0; j < size; ++j) votes[j] = elected_sign(votes[j], tie_sign);
}

ASSAY_VECTORISED
void agree_row(const float* __restrict row, float weight, const float* __restrict signs,
               Reduce reduce, int64_t size, float* __restrict sums, float* __restrict shares) {
  with_reduction(reduce, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) {
      const Agreement now =
          agree({sums[j], shares[j]}, row[j], weight, signs[j], decltype(tag)::kValue);
      sums[j] = now.sum;
      shares[j] = now.share;
    }
  });
}

/// Election by mass and agreement of `kCount` rows in one go, in registers.
template <int kCount>
ASSAY_ELEMENT void agree_rows(const float* const* rows, const float* weights, float tie_sign,
                              Reduce reduce, int64_t size, float* __restrict sums,
                              float* __restrict shares) {
  const float* row[kCount];
  float weight[kCount];
  for (int i = 0; i < kCount; ++i) {
    row[i] = rows[i];
    weight[i] = weights[i];
  }
  with_reduction(reduce, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) {
      float values[kCount];
      for (int i = 0; i < kCount; ++i) values[i] = row[i][j];
      float votes = values[0];
      for (int i = 1; i < kCount; ++i) votes += values[i];
      const float sign = elected_sign(votes, tie_sign);
      Agreement agreement;
      for (int i = 0; i < kCount; ++i)
        agreement = agree(agreement, values[i], weight[i], sign, decltype(tag)::kValue);
      sums[j] = agreement.sum;
      shares[j] = agreement.share;
    }
  });
}

/// The sum of the signs elected by mass, ties left at 0.
template <int kCount>
ASSAY_ELEMENT int64_t sign_sum_rows(const float* const* rows, int64_t size) {
  const float* row[kCount];
  for (int i = 0; i < kCount; ++i) row[i] = rows[i];
  int32_t sum = 0;
  for (int64_t j = 0; j < size; ++j) {
    float votes = row[0][j];
    for (int i = 1; i < kCount; ++i) votes += row[i][j];
    sum += (votes > 0.0f ? 1 : 0) - (votes < 0.0f ? 1 : 0);
  }
  return sum;
}

constexpr int kFewRows = 4;  ///< up to so many, registers hold all
ASSAY_VECTORISED
void agree_few(const float* const* rows, int count, const float* weights, float tie_sign,
               Reduce reduce, int64_t size, float* sums, float* shares) {
  switch (count) {
    case 1:
      return agree_rows<1>(rows, weights, tie_sign, reduce, size, sums, shares);
    case 2:
      return agree_rows<2>(rows, weights, tie_sign, reduce, size, sums, shares);
    case 3:
      return agree_rows<3>(rows, weights, tie_sign, reduce, size, sums, shares);
    default:
      return agree_rows<kFewRows>(rows, weights, tie_sign, reduce, size, sums, shares);
  }
}

ASSAY_VECTORISED
int64_t sign_sum_few(const float* const* rows, int count, int64_t size) {
  switch (count) {
    case 1:
      return sign_sum_rows<1>(rows, size);
    case 2:
      return sign_sum_rows<2>(rows, size);
    case 3:
      return sign_sum_rows<3>(rows, size);
    default:
      return sign_sum_rows<kFewRows>(rows, size);
  }
}

ASSAY_VECTORISED
int64_t sum_signs(const float* votes, int64_t size) {
  int32_t sum = 0;
  for (int64_t j = 0; j < size; ++j) sum += static_cast<int32_t>(vote_sign(votes[j]));
  return sum;
}

ASSAY_VECTORISED
void settle_sums(const float* __restrict sums, const float* __restrict shares,
                 const DeltaRule& rule, int64_t size, float* __restrict out) {
  const float divisor = rule.divisor;
  with_rounding(rule.rounding, [&](auto rounding) ASSAY_INLINED {
    if (rule.reduce == Reduce::kSumAll && divisor == 1.0f)
      for (int64_t j = 0; j < size; ++j) out[j] = divided_sum(sums[j], 1.0f, rounding());
    else if (rule.reduce == Reduce::kSumAll)
      for (int64_t j = 0; j < size; ++j) out[j] = divided_sum(sums[j], divisor, rounding());
    with_reduction(rule.reduce, [&](auto tag) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j)
        out[j] = agreed_value({sums[j], shares[j]}, decltype(tag)::kValue, rounding());
    });
  });
}

/// Deltas, rescaled, trimmed and weighted.
ASSAY_VECTORISED
void term_values(const Operand& expert, int64_t begin, const float* __restrict base, float rescale,
                 uint32_t least, float weight, Storage rounding, int64_t size,
                 float* __restrict out) {
  const bool plain = rescale == 1.0f && weight == 1.0f;
  with_storage(expert.storage, [&](auto tag) ASSAY_INLINED {
    constexpr Storage kStorage = decltype(tag)::kValue;
    with_rounding(rounding, [&](auto dtype) ASSAY_INLINED {
      if (plain)
        for (int64_t j = 0; j < size; ++j) {
          const float changed = load_as<kStorage>(expert.data, begin + j);
          out[j] = trimmed_delta(plain_delta(changed, base[j], dtype()), least);
        }
      else  // multiplying by 1 changes nothing, so one factor needs no loop of its own
        for (int64_t j = 0; j < size; ++j) {
          const float changed = load_as<kStorage>(expert.data, begin + j);
          const float delta = round_to(plain_delta(changed, base[j], dtype()) * rescale, dtype());
          out[j] = round_to(trimmed_delta(delta, least) * weight, dtype());
        }
    });
  });
}

ASSAY_VECTORISED
void trim_and_weigh(uint32_t least, float weight, Storage rounding, int64_t size, float* deltas) {
  with_rounding(rounding, [&](auto dtype) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j)
      deltas[j] = round_to(trimmed_delta(deltas[j], least) * weight, dtype());
  });
}

ASSAY_VECTORISED
void drop_run(uint64_t key, float drop, int64_t index, int64_t size, float* __restrict deltas) {
  static const bool wide = multiplies_wide();
  constexpr int64_t kDraws = 8 * kCounters;
  const DropLevel at = drop_level(drop);
  const int32_t level = static_cast<int32_t>(at.level);
  uint16_t draws[kDraws];
  for (int64_t first = 0; first < size; first += kDraws) {
    if (wide)
      first_draws<uint64_t>(key, index + first, draws);
    else
      first_draws<uint32_t>(key, index + first, draws);
    const int64_t some = std::min(size - first, kDraws);
    int32_t undecided = 0;
    for (int64_t j = 0; j < some; ++j) undecided += draws[j] == level ? 1 : 0;
    if (undecided > 0 && at.rest > 0.0f)
      for (int64_t j = 0; j < some; ++j)
        if (draws[j] == level && second_draw(key, index + first + j) < at.rest)
          deltas[first + j] = 0.0f;
    for (int64_t j = 0; j < some; ++j)
      deltas[first + j] = dropped_delta(deltas[first + j], draws[j] < level);
  }
}

}  // namespace

void term_run(const Operand& expert, int64_t begin, const float* base, const DeltaTerm& term,
              int64_t index, int64_t size, float* out) {
  const float weight = round_to(term.weight, term.rounding);
  const bool drops = term.drop > 0.0f;
  if (drops) {
    term_values(expert, begin, base, term.rescale, 0, 1.0f, term.rounding, size, out);
    drop_run(term.key, term.drop, index, size, out);
    if (term.threshold == 0 && weight == 1.0f) return;
  }
  const auto finish = [&](uint32_t least, int64_t first, int64_t end) {
    if (first == end) return;
    if (drops)
      trim_and_weigh(least, weight, term.rounding, end - first, out + first);
    else
      term_values(expert, begin + first, base + first, term.rescale, least, weight, term.rounding,
                  end - first, out + first);
  };
  if (term.threshold == 0) return finish(0, 0, size);
  // The least magnitude changes once, at tie_end, or is exceeded where a bit says so.
  const int64_t turn = term.kept_ties ? 0 : std::clamp<int64_t>(term.tie_end - index, 0, size);
  finish(term.threshold, 0, turn);
  finish(term.threshold + 1, turn, size);
  if (!term.kept_ties) return;
  for (int64_t word = 0; word * 64 < size; ++word)
    for (uint64_t bits = term.kept_ties[index / 64 + word]; bits != 0; bits &= bits - 1) {
      const int64_t j = word * 64 + std::countr_zero(bits);
      out[j] = term_element(load(expert, begin + j), base[j], term, index + j);
    }
}

int64_t sign_sum_run(const float* const* rows, int count, Elect elect, int64_t size) {
  if (elect == Elect::kMass && count <= kFewRows) return sign_sum_few(rows, count, size);
  float votes[kRun];
  for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, elect, size, votes);
  return sum_signs(votes, size);
}

void reduce_run(const float* const* rows, int count, const float* weights, const DeltaRule& rule,
                int64_t size, float* out) {
  float sums[kRun], shares[kRun];
  if (rule.reduce == Reduce::kSumAll) {
    for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, Elect::kMass, size, sums);
  } else if (rule.elect == Elect::kMass && count <= kFewRows) {
    agree_few(rows, count, weights, rule.tie_sign, rule.reduce, size, sums, shares);
  } else {
    float signs[kRun];
    for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, rule.elect, size, signs);
    settle_votes(rule.tie_sign, size, signs);
    std::fill_n(sums, size, 0.0f);
    std::fill_n(shares, size, 0.0f);
    for (int i = 0; i < count; ++i)
      agree_row(rows[i], weights[i], signs, rule.reduce, size, sums, shares);
  }
  settle_sums(sums, shares, rule, size, out);
}

ASSAY_VECTORISED
uint32_t change_run(const float* base, const float* __restrict reduced, float scale,
                    Storage rounding, int64_t size, float* out) {
  uint32_t largest = 0;
  with_rounding(rounding, [&](auto dtype) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) {
      out[j] = changed_base(base[j], reduced[j], scale, dtype());
      largest = std::max(largest, magnitude_bits(out[j]));
    }
  });
  return largest;
}

ASSAY_VECTORISED
uint32_t change_stored(const Operand& base, const float* __restrict reduced, float scale,
                       int64_t begin, int64_t size, void* out) {
  uint32_t largest = 0;
  with_storage(base.storage, [&](auto tag) ASSAY_INLINED {
    constexpr Storage kStorage = decltype(tag)::kValue;
    for (int64_t j = 0; j < size; ++j) {
      const float value = changed_base(load_as<kStorage>(base.data, begin + j), reduced[j], scale,
                                       Storage::kFloat32);
      store_as<kStorage>(out, begin + j, value);
      largest = std::max(largest, magnitude_bits(value));
    }
  });
  return largest;
}

ASSAY_VECTORISED
void high_halves(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

namespace {

#ifdef ASSAY_COMPRESS_VECTORS
__attribute__((target("avx512f,bmi2,popcnt"))) int64_t compress_bins(
    const float* values, int64_t size, const MagnitudeRange& range, uint32_t* out, int64_t& below) {
  constexpr int64_t kValues = 16;  // of a vector
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i low = _mm512_set1_epi32(static_cast<int>(range.low));
  const __m512i span = _mm512_set1_epi32(static_cast<int>(range.span));
  int64_t found = 0, smaller = 0, j = 0;
  for (; j + kValues <= size; j += kValues) {
    const __m512i bits = _mm512_and_si512(_mm512_loadu_si512(values + j), magnitude);
    const __m512i distance = _mm512_sub_epi32(bits, low);
    smaller += _mm_popcnt_u32(_mm512_cmplt_epu32_mask(bits, low));
    const __mmask16 inside = _mm512_cmplt_epu32_mask(distance, span);
    if (inside == 0) continue;
    const __m512i bins = _mm512_maskz_srl_epi32(inside, distance, _mm_cvtsi32_si128(range.shift));
    _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(inside, bins));
    found += _mm_popcnt_u32(inside);
  }
  below += smaller;
  return found;
}
#endif

}  // namespace

int64_t bins_in_range(const float* values, int64_t size, const MagnitudeRange& range, uint32_t* out,
                      int64_t& below) {
  int64_t found = 0, j = 0;
#ifdef ASSAY_COMPRESS_VECTORS
  static const bool vectors = __builtin_cpu_supports("avx512f");
  if (vectors) {
    found = compress_bins(values, size, range, out, below);
    j = size / 16 * 16;
  }
#endif
  for (; j < size; ++j) {
    const uint32_t bits = magnitude_bits(values[j]);
    if (range.holds(bits)) out[found++] = range.bin(bits);
    below += bits < range.low ? 1 : 0;
  }
  return found;
}

ASSAY_VECTORISED
int64_t count_magnitude(const float* values, int64_t size, uint32_t bits) {
  int32_t count = 0;
  for (int64_t j = 0; j < size; ++j) count += magnitude_bits(values[j]) == bits ? 1 : 0;
  return count;
}

}  // namespace assay
