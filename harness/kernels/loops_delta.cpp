#include "harness/kernels/loops_delta.h"

#include <algorithm>
#include <cstring>

#include "harness/kernels/isa.h"
#include "harness/kernels/loops.h"

namespace assay {
namespace {

// Bodies handed to with_storage() and the like are compiled for the instruction set of the function
// they stand in only when they are inlined.
#define ASSAY_INLINED __attribute__((always_inline))

constexpr int64_t kCounters = 32;  ///< counters that go through the generator side by side

/// philox_uniform() of elements [index, index + 4 * kCounters). Counters are kept in variables of
/// type Word, of 32 or 64 bits.
template <typename Word>
ASSAY_ELEMENT void uniform_draws(uint64_t key, int64_t index, float* __restrict out) {
  Word c0[kCounters], c1[kCounters], c2[kCounters], c3[kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    const uint64_t counter = static_cast<uint64_t>(index) / 4 + static_cast<uint64_t>(i);
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
  for (int64_t i = 0; i < kCounters; ++i) {
    out[4 * i] = bits_to_uniform(static_cast<uint32_t>(c0[i]));
    out[4 * i + 1] = bits_to_uniform(static_cast<uint32_t>(c1[i]));
    out[4 * i + 2] = bits_to_uniform(static_cast<uint32_t>(c2[i]));
    out[4 * i + 3] = bits_to_uniform(static_cast<uint32_t>(c3[i]));
  }
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
void settle_votes(const float* __restrict votes, int tie_sign, int64_t size,
                  int32_t* __restrict signs) {
  for (int64_t j = 0; j < size; ++j) {
    const int sign = sign_of(votes[j]);
    signs[j] = sign == 0 ? tie_sign : sign;
  }
}

ASSAY_VECTORISED
void agree_row(const float* __restrict row, float weight, const int32_t* __restrict signs,
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

ASSAY_VECTORISED
void change_base(const float* base, const float* __restrict sums, const float* __restrict shares,
                 const DeltaRule& rule, int64_t size, float* out) {
  const float scale = rule.scale, divisor = rule.divisor;
  with_rounding(rule.rounding, [&](auto rounding) ASSAY_INLINED {
    if (rule.reduce == Reduce::kSumAll && divisor == 1.0f)
      for (int64_t j = 0; j < size; ++j)
        out[j] = changed_base(base[j], divided_sum(sums[j], 1.0f, rounding()), scale, rounding());
    else if (rule.reduce == Reduce::kSumAll)
      for (int64_t j = 0; j < size; ++j)
        out[j] =
            changed_base(base[j], divided_sum(sums[j], divisor, rounding()), scale, rounding());
    with_reduction(rule.reduce, [&](auto tag) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j) {
        const float reduced = agreed_value({sums[j], shares[j]}, decltype(tag)::kValue, rounding());
        out[j] = changed_base(base[j], reduced, scale, rounding());
      }
    });
  });
}

ASSAY_VECTORISED
void subtract_run(const float* __restrict expert, const float* __restrict base,
                  const DeltaTerm& term, int64_t size, float* __restrict out) {
  const float rescale = term.rescale;
  with_rounding(term.rounding, [&](auto rounding) ASSAY_INLINED {
    if (rescale == 1.0f)
      for (int64_t j = 0; j < size; ++j) out[j] = plain_delta(expert[j], base[j], rounding());
    else
      for (int64_t j = 0; j < size; ++j)
        out[j] = rescaled_delta(plain_delta(expert[j], base[j], rounding()), rescale, rounding());
  });
}

ASSAY_VECTORISED
void drop_run(uint64_t key, float drop, int64_t index, int64_t size, float* __restrict deltas) {
  static const bool wide = multiplies_wide();
  float draws[4 * kCounters];
  for (int64_t first = 0; first < size; first += 4 * kCounters) {
    if (wide)
      uniform_draws<uint64_t>(key, index + first, draws);
    else
      uniform_draws<uint32_t>(key, index + first, draws);
    const int64_t some = std::min(size - first, 4 * kCounters);
    for (int64_t j = 0; j < some; ++j)
      deltas[first + j] = dropped_delta(deltas[first + j], draws[j], drop);
  }
}

ASSAY_VECTORISED
void trim_run(uint32_t least, int64_t size, float* deltas) {
  for (int64_t j = 0; j < size; ++j) deltas[j] = trimmed_delta(deltas[j], least);
}

}  // namespace

ASSAY_VECTORISED
void weigh_run(const DeltaTerm& term, int64_t size, float* deltas) {
  const float weight = term.weight;
  if (weight == 1.0f) return;
  with_rounding(term.rounding, [&](auto rounding) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) deltas[j] = weighted_delta(deltas[j], weight, rounding());
  });
}

void delta_run(const float* expert, const float* base, const DeltaTerm& term, int64_t index,
               int64_t size, float* out) {
  subtract_run(expert, base, term, size, out);
  if (term.drop > 0.0f) drop_run(term.key, term.drop, index, size, out);
  if (term.threshold == 0) return;
  // The least magnitude changes once, at tie_end.
  const int64_t turn = std::clamp<int64_t>(term.tie_end - index, 0, size);
  trim_run(least_magnitude(term, index), turn, out);
  trim_run(least_magnitude(term, index + size - 1), size - turn, out + turn);
}

void elect_run(const float* const* rows, int count, Elect elect, int tie_sign, int64_t size,
               int32_t* signs) {
  float votes[kRun];
  for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, elect, size, votes);
  settle_votes(votes, tie_sign, size, signs);
}

void merge_run(const float* const* rows, int count, const float* base, const DeltaTerm* terms,
               const DeltaRule& rule, int64_t size, float* out) {
  float sums[kRun], shares[kRun];
  if (rule.reduce == Reduce::kSumAll) {
    for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, Elect::kMass, size, sums);
  } else {
    int32_t signs[kRun];
    elect_run(rows, count, rule.elect, rule.tie_sign, size, signs);
    std::fill_n(sums, size, 0.0f);
    std::fill_n(shares, size, 0.0f);
    for (int i = 0; i < count; ++i)
      agree_row(rows[i], round_to(terms[i].weight, rule.rounding), signs, rule.reduce, size, sums,
                shares);
  }
  float values[kRun];
  if (rule.without_base) std::fill_n(values, size, changed_value(0.0f, rule));
  change_base(rule.without_base ? values : base, sums, shares, rule, size, out);
}

ASSAY_VECTORISED
int64_t sign_sum_run(const int32_t* signs, int64_t size) {
  int32_t sum = 0;
  for (int64_t j = 0; j < size; ++j) sum += signs[j];
  return sum;
}

ASSAY_VECTORISED
void high_halves(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

ASSAY_VECTORISED
int64_t count_at_least(const uint16_t* keys, int64_t size, uint16_t least) {
  uint16_t count = 0;  // as wide as the keys, so that lanes are counted side by side
  for (int64_t j = 0; j < size; ++j)
    count = static_cast<uint16_t>(count + (keys[j] >= least ? 1 : 0));
  return count;
}

ASSAY_VECTORISED
int64_t low_halves(const float* __restrict values, int64_t size, uint32_t high,
                   uint16_t* __restrict out) {
  // Hits are rare: eight elements at a time are passed over by one comparison.
  uint8_t hits[kRun + 8] = {};
  for (int64_t j = 0; j < size; ++j) hits[j] = magnitude_bits(values[j]) >> 16 == high ? 1 : 0;
  int64_t found = 0;
  for (int64_t group = 0; group < size; group += 8) {
    uint64_t any;
    memcpy(&any, hits + group, sizeof any);
    if (any == 0) continue;
    for (int64_t j = group; j < std::min(group + 8, size); ++j)
      if (hits[j] != 0) out[found++] = static_cast<uint16_t>(float_to_bits(values[j]));
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
