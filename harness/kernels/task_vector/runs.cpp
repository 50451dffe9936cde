#include "harness/kernels/task_vector/runs.h"

#include <algorithm>

#include "harness/kernels/internal/isa.h"
#include "harness/kernels/task_vector/vector_loops.h"

namespace assay {
namespace {

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
template <typename Body>
ASSAY_ELEMENT void with_reduction(Reduce reduce, const Body& body) {
  switch (reduce) {
    case Reduce::kSumAll:
      return;
    case Reduce::kMeanAgree:
      return body([]() ASSAY_INLINED { return Reduce::kMeanAgree; });
    case Reduce::kSumAgree:
      return body([]() ASSAY_INLINED { return Reduce::kSumAgree; });
    case Reduce::kMaxAgree:
      return body([]() ASSAY_INLINED { return Reduce::kMaxAgree; });
    case Reduce::kWeightedMeanAgree:
      return body([]() ASSAY_INLINED { return Reduce::kWeightedMeanAgree; });
  }
}

// Loops are over rows first and elements second; every element still sees the rows in their order.
// Each loop over elements stands in a function of its own, where compilers see that its arrays are
// apart.

/// Sets or adds to the votes.
ASSAY_VECTORISED
void vote_row(const float* __restrict row, bool first, Elect elect, int64_t size,
              float* __restrict votes) {
  const auto add = [&](auto kind) ASSAY_INLINED {
    if (first)
      for (int64_t j = 0; j < size; ++j) votes[j] = vote(row[j], kind());
    else
      for (int64_t j = 0; j < size; ++j) votes[j] += vote(row[j], kind());
  };
  if (elect == Elect::kMass) return add([]() ASSAY_INLINED { return Elect::kMass; });
  add([]() ASSAY_INLINED { return Elect::kCount; });
}

ASSAY_VECTORISED
void settle_votes(float tie_sign, int64_t size, float* votes) {
  for (int64_t j = 0; j < size; ++j) votes[j] = elected_sign(votes[j], tie_sign);
}

ASSAY_VECTORISED
void agree_row(const float* __restrict row, float weight, const float* __restrict signs,
               Reduce reduce, int64_t size, float* __restrict sums, float* __restrict shares) {
  with_reduction(reduce, [&](auto reduction) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) {
      const Agreement now = agree({sums[j], shares[j]}, row[j], weight, signs[j], reduction());
      sums[j] = now.sum;
      shares[j] = now.share;
    }
  });
}

ASSAY_VECTORISED
int64_t sum_signs(const float* votes, int64_t size) {
  int32_t sum = 0;
  for (int64_t j = 0; j < size; ++j)  // vote_sign() in integers
    sum += (votes[j] > 0.0f ? 1 : 0) - (votes[j] < 0.0f ? 1 : 0);
  return sum;
}

ASSAY_VECTORISED
void settle_sums(const float* __restrict sums, const float* __restrict shares,
                 const DeltaRule& rule, int64_t size, float* __restrict out) {
  const float divisor = rule.divisor, min_divisor = rule.min_divisor;
  with_rounding(rule.rounding, [&](auto rounding) ASSAY_INLINED {
    if (rule.reduce == Reduce::kSumAll)
      for (int64_t j = 0; j < size; ++j) out[j] = divided_sum(sums[j], divisor, rounding());
    with_reduction(rule.reduce, [&](auto reduction) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j)
        out[j] = agreed_value({sums[j], shares[j]}, reduction(), min_divisor, rounding());
    });
  });
}

}  // namespace

ASSAY_VECTORISED
void term_run(const Operand& expert, int64_t begin, const float* __restrict base,
              const DeltaTerm& term, const uint32_t* __restrict keep_threshold, int64_t size,
              float* __restrict out) {
  // Multiplying by 1 changes nothing.
  const float rescale = term.rescale, weight = round_to(term.weight, term.rounding);
  with_storage(expert.storage, [&](auto tag) ASSAY_INLINED {
    constexpr DType kStorage = decltype(tag)::kValue;
    with_rounding(term.rounding, [&](auto dtype) ASSAY_INLINED {
      for (int64_t j = 0; j < size; ++j) {
        const float changed = load_as<kStorage>(expert.data, begin + j);
        const float delta = round_to(plain_delta(changed, base[j], dtype()) * rescale, dtype());
        out[j] = round_to(trimmed_delta(delta, keep_threshold[j]) * weight, dtype());
      }
    });
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

ASSAY_VECTORISED
uint32_t change_run(const float* base, const float* __restrict reduced, float scale, DType rounding,
                    int64_t size, float* __restrict out) {
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
void upper16_run(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

ASSAY_VECTORISED
void delta_upper16_run(const void* base, const void* expert, int64_t begin, int64_t size,
                       uint16_t* __restrict out) {
  prefetch_run({base, DType::kBFloat16}, begin + size, size);
  prefetch_run({expert, DType::kBFloat16}, begin + size, size);
  for (int64_t j = 0; j < size; ++j) {
    const float start = load_as<DType::kBFloat16>(base, begin + j);
    const float changed = load_as<DType::kBFloat16>(expert, begin + j);
    const float delta = plain_delta(changed, start, DType::kBFloat16);
    out[j] = static_cast<uint16_t>(magnitude_bits(delta) >> 16);
  }
}

void bins_in_range(const float* values, int64_t size, RangeHits& hits) {
  if (const auto loop = vector_loops().bins; loop && size % kVectorRun == 0)
    return loop(values, size, hits);
  for (int64_t j = 0; j < size; ++j) {
    const uint32_t bits = magnitude_bits(values[j]);
    hits.equal += bits == hits.likely ? 1 : 0;
    if (bits != hits.likely && hits.range.holds(bits))
      hits.bins[hits.found++] = hits.range.bin(bits);
    hits.below += bits < hits.range.low ? 1 : 0;
  }
}

}  // namespace assay
