#include "harness/kernels/task_vector/loops_delta.h"

#include <algorithm>

#include "harness/kernels/isa.h"
#include "harness/kernels/loops.h"

namespace assay {
namespace {

// Bodies handed to with_storage() and the like are compiled for the instruction set of the function
// they stand in only when they are inlined.
#define ASSAY_INLINED __attribute__((always_inline))

/// The dtype as a type where arithmetic in it is usual, for loops of their own.
template <typename Body>
ASSAY_ELEMENT void with_rounding(DType rounding, const Body& body) {
  switch (rounding) {
    case DType::kFloat32:
      return body([]() ASSAY_INLINED { return DType::kFloat32; });
    case DType::kFloat16:
      return body([]() ASSAY_INLINED { return DType::kFloat16; });
    case DType::kBFloat16:
      return body([]() ASSAY_INLINED { return DType::kBFloat16; });
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

ASSAY_VECTORISED
int64_t sum_signs(const float* votes, int64_t size) {
  int32_t sum = 0;
  for (int64_t j = 0; j < size; ++j) sum += static_cast<int32_t>(vote_sign(votes[j]));
  return sum;
}

ASSAY_VECTORISED
void settle_sums(const float* __restrict sums, const float* __restrict shares,
                 const DeltaRule& rule, int64_t size, float* __restrict out) {
  const float divisor = rule.divisor, min_divisor = rule.min_divisor;
  with_rounding(rule.rounding, [&](auto rounding) ASSAY_INLINED {
    if (rule.reduce == Reduce::kSumAll && divisor == 1.0f)
      for (int64_t j = 0; j < size; ++j) out[j] = divided_sum(sums[j], 1.0f, rounding());
    else if (rule.reduce == Reduce::kSumAll)
      for (int64_t j = 0; j < size; ++j) out[j] = divided_sum(sums[j], divisor, rounding());
    with_reduction(rule.reduce, [&](auto tag) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j)
        out[j] = agreed_value({sums[j], shares[j]}, decltype(tag)::kValue, min_divisor, rounding());
    });
  });
}

/// term_element() of every expert, of each element that `take` is called with.
template <typename Dtypes, int kCount, typename Take>
ASSAY_ELEMENT void for_terms(const TermLoop& loop, const Take& take) {
  constexpr DType kStorage = Dtypes::kStorage, kRounding = Dtypes::kRounding;
  const void* start = loop.operands[0].data;
  const void* changed[kCount];
  const uint32_t* least[kCount];
  float rescale[kCount], weight[kCount];
  for (int i = 0; i < kCount; ++i) {
    changed[i] = loop.operands[i + 1].data;
    least[i] = loop.least[i];
    rescale[i] = loop.terms[i].rescale;
    weight[i] = round_to(loop.terms[i].weight, kRounding);
  }
  const int64_t begin = loop.begin, size = loop.size;
  for (int64_t j = 0; j < size; ++j) {
    const float base = load_as<kStorage>(start, begin + j);
    float values[kCount];
    for (int i = 0; i < kCount; ++i) {
      float delta = plain_delta(load_as<kStorage>(changed[i], begin + j), base, kRounding);
      if (!Dtypes::kPlain) delta = round_to(delta * rescale[i], kRounding);
      delta = trimmed_delta(delta, least[i][j]);
      if (!Dtypes::kPlain) delta = round_to(delta * weight[i], kRounding);
      values[i] = delta;
    }
    take(j, values, weight);
  }
}

/// For loops of their own: dtypes of the models and of rounding, and whether all factors are 1.
template <DType kStored, DType kRounded, bool kFactorsOfOne>
struct TermDtypes {
  static constexpr DType kStorage = kStored, kRounding = kRounded;
  static constexpr bool kPlain = kFactorsOfOne;
};
template <int kValue>
struct CountTag {
  static constexpr int kCount = kValue;
};

/// Calls `body` with the TermDtypes and the CountTag; fits_registers() has said that there are
/// such.
template <typename Body>
ASSAY_ELEMENT void with_terms(const TermLoop& loop, const Body& body) {
  const DType storage = loop.operands[0].storage, rounding = loop.terms[0].rounding;
  const auto with_count = [&](auto dtypes) ASSAY_INLINED {
    switch (loop.count) {
      case 1:
        return body(dtypes, CountTag<1>{});
      case 2:
        return body(dtypes, CountTag<2>{});
      case 3:
        return body(dtypes, CountTag<3>{});
      default:
        return body(dtypes, CountTag<kFewTerms>{});
    }
  };
  bool plain = true;
  for (int i = 0; i < loop.count; ++i)
    plain &= loop.terms[i].rescale == 1.0f && loop.terms[i].weight == 1.0f;
  constexpr DType kWide = DType::kFloat32, kHalf = DType::kFloat16, kBrain = DType::kBFloat16;
  if (storage == kHalf) return with_count(TermDtypes<kHalf, kWide, false>{});
  if (storage == kWide && plain) return with_count(TermDtypes<kWide, kWide, true>{});
  if (storage == kWide) return with_count(TermDtypes<kWide, kWide, false>{});
  if (rounding == kWide && plain) return with_count(TermDtypes<kBrain, kWide, true>{});
  if (rounding == kWide) return with_count(TermDtypes<kBrain, kWide, false>{});
  if (plain) return with_count(TermDtypes<kBrain, kBrain, true>{});
  return with_count(TermDtypes<kBrain, kBrain, false>{});
}

ASSAY_VECTORISED
void reduce_terms(const TermLoop& loop, const DeltaRule& rule, float* __restrict out) {
  const float tie_sign = rule.tie_sign, min_divisor = rule.min_divisor;
  with_terms(loop, [&](auto dtypes, auto tag) ASSAY_INLINED {
    using Dtypes = decltype(dtypes);
    constexpr int kCount = decltype(tag)::kCount;
    constexpr DType kRounding = Dtypes::kRounding;
    if (rule.reduce == Reduce::kSumAll)
      return for_terms<Dtypes, kCount>(
          loop, [&](int64_t j, const float* values, const float*) ASSAY_INLINED {
            float sum = values[0];
            for (int i = 1; i < kCount; ++i) sum += values[i];
            out[j] = divided_sum(sum, 1.0f, kRounding);
          });
    with_reduction(rule.reduce, [&](auto reduction) ASSAY_INLINED {
      constexpr Reduce kReduce = decltype(reduction)::kValue;
      for_terms<Dtypes, kCount>(
          loop, [&](int64_t j, const float* values, const float* weights) ASSAY_INLINED {
            float votes = values[0];
            for (int i = 1; i < kCount; ++i) votes += values[i];
            const float sign = elected_sign(votes, tie_sign);
            Agreement agreement;
            for (int i = 0; i < kCount; ++i)
              agreement = agree(agreement, values[i], weights[i], sign, kReduce);
            out[j] = agreed_value(agreement, kReduce, min_divisor, kRounding);
          });
    });
  });
}

ASSAY_VECTORISED
void divide_run(float divisor, DType rounding, int64_t size, float* values) {
  with_rounding(rounding, [&](auto dtype) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) values[j] = divided_sum(values[j], divisor, dtype());
  });
}

ASSAY_VECTORISED
int64_t sum_term_signs(const TermLoop& loop) {
  int32_t sum = 0;
  with_terms(loop, [&](auto dtypes, auto tag) ASSAY_INLINED {
    constexpr int kCount = decltype(tag)::kCount;
    int32_t signs = 0;
    for_terms<decltype(dtypes), kCount>(
        loop, [&](int64_t, const float* values, const float*) ASSAY_INLINED {
          float votes = values[0];
          for (int i = 1; i < kCount; ++i) votes += values[i];
          signs += (votes > 0.0f ? 1 : 0) - (votes < 0.0f ? 1 : 0);
        });
    sum = signs;
  });
  return sum;
}

}  // namespace

ASSAY_VECTORISED
void term_run(const Operand& expert, int64_t begin, const float* __restrict base,
              const DeltaTerm& term, const uint32_t* __restrict least, int64_t size,
              float* __restrict out) {
  const float rescale = term.rescale, weight = round_to(term.weight, term.rounding);
  const bool plain = rescale == 1.0f && weight == 1.0f;
  with_storage(expert.storage, [&](auto tag) ASSAY_INLINED {
    constexpr DType kStorage = decltype(tag)::kValue;
    with_rounding(term.rounding, [&](auto dtype) ASSAY_INLINED {
      if (plain)
        for (int64_t j = 0; j < size; ++j) {
          const float changed = load_as<kStorage>(expert.data, begin + j);
          out[j] = trimmed_delta(plain_delta(changed, base[j], dtype()), least[j]);
        }
      else  // multiplying by 1 changes nothing, so one factor needs no loop of its own
        for (int64_t j = 0; j < size; ++j) {
          const float changed = load_as<kStorage>(expert.data, begin + j);
          const float delta = round_to(plain_delta(changed, base[j], dtype()) * rescale, dtype());
          out[j] = round_to(trimmed_delta(delta, least[j]) * weight, dtype());
        }
    });
  });
}

ASSAY_VECTORISED
void keep_run(const float* __restrict deltas, const DeltaTerm& term,
              const uint32_t* __restrict least, int64_t size, float* __restrict out) {
  const float rescale = term.rescale;
  with_rounding(term.rounding, [&](auto dtype) ASSAY_INLINED {
    if (rescale == 1.0f)
      for (int64_t j = 0; j < size; ++j) out[j] = trimmed_delta(deltas[j], least[j]);
    else
      for (int64_t j = 0; j < size; ++j)
        out[j] = trimmed_delta(rescaled_delta(deltas[j], rescale, dtype()), least[j]);
  });
}

int64_t sign_sum_run(const float* const* rows, int count, Elect elect, int64_t size) {
  float votes[kRun];
  for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, elect, size, votes);
  return sum_signs(votes, size);
}

void reduce_run(const float* const* rows, int count, const float* weights, const DeltaRule& rule,
                int64_t size, float* out) {
  float sums[kRun], shares[kRun];
  if (rule.reduce == Reduce::kSumAll) {
    for (int i = 0; i < count; ++i) vote_row(rows[i], i == 0, Elect::kMass, size, sums);
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

bool fits_registers(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect) {
  const size_t count = terms.size();
  if (elect != Elect::kMass || count == 0 || count > kFewTerms) return false;
  const DType storage = operands[0].storage, rounding = terms.front().rounding;
  for (const DeltaTerm& term : terms)
    if (term.rounding != rounding) return false;
  for (size_t i = 0; i <= count; ++i)
    if (operands[i].storage != storage) return false;
  if (rounding == DType::kFloat32)
    return storage == DType::kFloat32 || storage == DType::kFloat16 || storage == DType::kBFloat16;
  return rounding == DType::kBFloat16 && storage == DType::kBFloat16;
}

void reduce_in_registers(const TermLoop& loop, const DeltaRule& rule, float* out) {
  if (!sum_in_vectors(loop, rule, out)) reduce_terms(loop, rule, out);
  if (rule.reduce == Reduce::kSumAll && rule.divisor != 1.0f)
    divide_run(rule.divisor, rule.rounding, loop.size, out);
}

int64_t sign_sum_in_registers(const TermLoop& loop) { return sum_term_signs(loop); }

ASSAY_VECTORISED
uint32_t change_run(const float* base, const float* __restrict reduced, float scale, DType rounding,
                    int64_t size, float* out) {
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
uint32_t change_stored(const Operand& base, int64_t begin, const float* __restrict reduced,
                       float scale, DType rounding, int64_t size, void* __restrict out) {
  uint32_t largest = 0;
  with_storage(base.storage, [&](auto tag) ASSAY_INLINED {
    constexpr DType kStorage = decltype(tag)::kValue;
    with_rounding(rounding, [&](auto dtype) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j) {
        const float start = load_as<kStorage>(base.data, begin + j);
        const float value = changed_base(start, reduced[j], scale, dtype());
        store_as<kStorage>(out, j, value);
        largest = std::max(largest, magnitude_bits(value));
      }
    });
  });
  return largest;
}

}  // namespace assay
