#include <limits>

#include "harness/kernels/task_vector/avx512/agreeing.h"
#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/loops_delta.h"

namespace assay {
namespace {

#ifdef ASSAY_VECTORS_512

enum class Trim {
  kNone,     ///< nothing is trimmed, dropped or rescaled
  kUniform,  ///< each expert keeps all of its ties or none
  kBits,     ///< or those whose bit is set
  kDrops,    ///< what is dropped is trimmed: what masks of the run say
  kRows,     ///< what TermLoop::least says
};

/// What loops are compiled for: the dtype, whether all is rounded to it, how deltas are trimmed,
/// whether they are rescaled and weighed, the number of experts.
template <DType kDtype, bool kRounds, Trim kTrims, bool kWeighs, int kExperts>
struct TermKind {
  static constexpr DType kStorage = kDtype;
  static constexpr bool kBrief = kRounds, kFactors = kWeighs;
  static constexpr Trim kTrim = kTrims;
  static constexpr int kCount = kExperts;
};

/// term_element() of the experts, 16 elements at a time. Bits of ties become masks as they are.
template <typename Kind>
class Terms512 {
  static constexpr int kCount = Kind::kCount;
  static constexpr Trim kTrim = Kind::kTrim;

 public:
  /// `index` only matters for bits and ties, `masks` for drops: a row of kept_run() per expert.
  ASSAY_TARGET_512 explicit Terms512(const TermLoop& loop, int64_t index,
                                     const RunMask* masks = nullptr)
      : base_(loop.operands[0].data), begin_(loop.begin) {
    static constexpr uint64_t kNoTies[kRun / 64] = {};
    for (int i = 0; i < kCount; ++i) {
      const DeltaTerm& term = loop.terms[i];
      experts_[i] = loop.operands[i + 1].data;
      if (kTrim == Trim::kRows) least_[i] = loop.least[i];
      if (kTrim == Trim::kDrops) masks_[i] = reinterpret_cast<const char*>(masks[i]);
      // Zeros count for nothing, kept or not.
      const bool keeps_ties = !term.keep_mask && term.tie_end > index;
      const uint32_t below = term.threshold == 0 ? 0 : term.threshold - (keeps_ties ? 1 : 0);
      below_[i] = _mm512_set1_epi32(static_cast<int>(below));
      ties_[i] = reinterpret_cast<const char*>(
          kTrim == Trim::kBits && term.keep_mask ? term.keep_mask + index / 64 : kNoTies);
      rescale_[i] = _mm512_set1_ps(term.rescale);
      weight_[i] = _mm512_set1_ps(round_to(term.weight, term.rounding));
    }
  }
  /// Values of elements from number `j` of the run on; returns their sum.
  ASSAY_TARGET_512 __m512 load(int64_t j, __m512* values) const {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const __m512 base = load_ahead_512<Kind::kStorage>(base_, begin_ + j);
    __m512 votes = _mm512_setzero_ps();
    for (int i = 0; i < kCount; ++i) {
      __m512 delta = _mm512_sub_ps(load_ahead_512<Kind::kStorage>(experts_[i], begin_ + j), base);
      if (Kind::kBrief) delta = round_brief_512(delta);
      if (Kind::kFactors && kTrim != Trim::kNone) {
        delta = _mm512_mul_ps(delta, rescale_[i]);
        if (Kind::kBrief) delta = round_brief_512(delta);
      }
      if (kTrim != Trim::kNone) {
        const __m512i bits = _mm512_and_si512(_mm512_castps_si512(delta), magnitude);
        delta = _mm512_maskz_mov_ps(kept(i, j, bits), delta);
      }
      if (Kind::kFactors) {
        delta = _mm512_mul_ps(delta, weight_[i]);
        if (Kind::kBrief) delta = round_brief_512(delta);
      }
      values[i] = delta;
      votes = i == 0 ? delta : _mm512_add_ps(votes, delta);
    }
    return votes;
  }

 private:
  ASSAY_TARGET_512 __mmask16 kept(int i, int64_t j, __m512i bits) const {
    if (kTrim == Trim::kRows)
      return _mm512_cmpge_epu32_mask(bits, _mm512_loadu_si512(least_[i] + j));
    if (kTrim == Trim::kDrops) return mask_at(masks_[i], j);
    __mmask16 kept = _mm512_cmpgt_epu32_mask(bits, below_[i]);
    if (kTrim == Trim::kBits)
      kept |= _mm512_mask_cmpeq_epu32_mask(mask_at(ties_[i], j), bits, below_[i]);
    return kept;
  }
  static __mmask16 mask_at(const char* bits, int64_t j) {
    uint16_t mask;
    memcpy(&mask, bits + j / 8, sizeof mask);
    return mask;
  }

  const void* base_;
  const void* experts_[kCount];
  int64_t begin_;
  __m512i below_[kCount];
  const char* ties_[kCount];
  const char* masks_[kCount];
  const uint32_t* least_[kCount];
  __m512 rescale_[kCount], weight_[kCount];
};

template <typename Kind>
ASSAY_TARGET_512 void mean_512(const TermLoop& loop, int64_t index, float tie_sign, float* out) {
  const Terms512<Kind> terms(loop, index);
  const __m512 sign_of_ties = _mm512_set1_ps(tie_sign);
  for (int64_t j = 0; j < loop.size; j += kVectorValues) {
    __m512 values[Kind::kCount];
    const __m512 votes = terms.load(j, values);
    _mm512_storeu_ps(out + j,
                     agreeing_mean_512<Kind::kCount, Kind::kBrief>(values, votes, sign_of_ties));
  }
}

/// The sum of all, or with kElects of those that agree.
template <typename Kind, bool kElects>
ASSAY_TARGET_512 void sum_512(const TermLoop& loop, const RunMask* masks, float tie_sign,
                              float* out) {
  const Terms512<Kind> terms(loop, 0, masks);
  const __m512 sign_of_ties = _mm512_set1_ps(tie_sign);
  for (int64_t j = 0; j < loop.size; j += kVectorValues) {
    __m512 values[Kind::kCount];
    __m512 sum = terms.load(j, values);
    if (kElects) {
      const Agreeing512 agreeing(sum, sign_of_ties);
      sum = _mm512_setzero_ps();
      for (int i = 0; i < Kind::kCount; ++i)
        sum = _mm512_mask_add_ps(sum, agreeing.mask(values[i]), sum, values[i]);
    }
    _mm512_storeu_ps(out + j, Kind::kBrief ? round_brief_512(sum) : sum);
  }
}

/// Sums of magnitudes of deltas, and of those that reach the least.
template <DType kStorage, bool kBrief>
ASSAY_TARGET_512 void norms_512(const Operand* operands, const uint32_t* least, int64_t begin,
                                int64_t size, double* whole, double* left) {
  static_assert(kLanes == kVectorValues);
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512d all[2], kept[2];
  for (int64_t half = 0; half < 2; ++half) {
    all[half] = _mm512_loadu_pd(whole + 8 * half);
    kept[half] = _mm512_loadu_pd(left + 8 * half);
  }
  for (int64_t j = 0; j < size; j += kVectorValues) {
    __m512 delta = _mm512_sub_ps(load_ahead_512<kStorage>(operands[1].data, begin + j),
                                 load_ahead_512<kStorage>(operands[0].data, begin + j));
    if (kBrief) delta = round_brief_512(delta);
    const __m512i bits = _mm512_and_si512(_mm512_castps_si512(delta), magnitude);
    const __mmask16 reaches = _mm512_cmpge_epu32_mask(bits, _mm512_loadu_si512(least + j));
    const __m512d wide = _mm512_castsi512_pd(bits);
    for (int64_t half = 0; half < 2; ++half) {
      const __m256 some = _mm256_castpd_ps(half == 0 ? _mm512_castpd512_pd256(wide)
                                                     : _mm512_extractf64x4_pd(wide, 1));
      const __m512d values = _mm512_cvtps_pd(some);
      all[half] = _mm512_add_pd(all[half], values);
      const auto mask = static_cast<__mmask8>(reaches >> (8 * half));
      kept[half] = _mm512_mask_add_pd(kept[half], mask, kept[half], values);
    }
  }
  for (int64_t half = 0; half < 2; ++half) {
    _mm512_storeu_pd(whole + 8 * half, all[half]);
    _mm512_storeu_pd(left + 8 * half, kept[half]);
  }
}

template <typename Kind>
ASSAY_TARGET_512 int64_t signs_512(const TermLoop& loop, int64_t index) {
  const Terms512<Kind> terms(loop, index);
  const __m512 zero = _mm512_setzero_ps();
  int64_t sum = 0;
  for (int64_t j = 0; j < loop.size; j += kVectorValues) {
    __m512 values[Kind::kCount];
    const __m512 votes = terms.load(j, values);
    sum += _mm_popcnt_u32(_mm512_cmp_ps_mask(votes, zero, _CMP_GT_OQ)) -
           _mm_popcnt_u32(_mm512_cmp_ps_mask(votes, zero, _CMP_LT_OQ));
  }
  return sum;
}

/// Calls `body` with the TermKind.
template <Trim kTrim, bool kFactors, typename Body>
void with_kind(const TermLoop& loop, const Body& body) {
  const auto with_count = [&]<DType kStorage, bool kBrief>() {
    switch (loop.count) {
      case 1:
        return body(TermKind<kStorage, kBrief, kTrim, kFactors, 1>{});
      case 2:
        return body(TermKind<kStorage, kBrief, kTrim, kFactors, 2>{});
      case 3:
        return body(TermKind<kStorage, kBrief, kTrim, kFactors, 3>{});
      default:
        return body(TermKind<kStorage, kBrief, kTrim, kFactors, kFewTerms>{});
    }
  };
  if (loop.operands[0].storage == DType::kFloat32)
    return with_count.template operator()<DType::kFloat32, false>();
  if (loop.terms[0].rounding == DType::kBFloat16)
    return with_count.template operator()<DType::kBFloat16, true>();
  return with_count.template operator()<DType::kBFloat16, false>();
}
template <typename Body>
void with_trim_kind(const TermLoop& loop, const Body& body) {
  bool ties = false;
  for (int i = 0; i < loop.count; ++i) ties |= loop.terms[i].keep_mask != nullptr;
  if (ties) return with_kind<Trim::kBits, false>(loop, body);
  return with_kind<Trim::kUniform, false>(loop, body);
}

/// Whether a run is one of whole vectors, and no threshold a NaN: their bits are not all the same
/// here.
bool whole_vectors(const TermLoop& loop) {
  bool fits = has_vectors_512() && loop.size % kVectorValues == 0 &&
              loop.operands[0].storage != DType::kFloat16;
  for (int i = 0; i < loop.count; ++i)
    fits &= loop.terms[i].threshold <= float_to_bits(std::numeric_limits<float>::infinity());
  return fits;
}

/// Whether moreover each expert keeps all ties or none, but for those with bits.
bool trims_evenly(const TermLoop& loop, int64_t index) {
  for (int i = 0; i < loop.count; ++i) {
    const DeltaTerm& term = loop.terms[i];
    if (!term.keep_mask && term.tie_end > index && term.tie_end < index + loop.size) return false;
  }
  return whole_vectors(loop);
}
#endif

}  // namespace

bool only_trims(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect) {
  if (!fits_registers(operands, terms, elect)) return false;
  for (const DeltaTerm& term : terms)
    if (term.drop != 0.0f || term.rescale != 1.0f || term.weight != 1.0f) return false;
  return true;
}

bool only_drops(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect) {
  bool drops = false, trims = false;
  for (const DeltaTerm& term : terms) {
    drops |= term.drop != 0.0f;
    trims |= term.threshold != 0;
  }
  return drops && !trims && fits_registers(operands, terms, elect);
}

bool reduce_trimmed([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] int64_t index,
                    [[maybe_unused]] const DeltaRule& rule, [[maybe_unused]] float* out) {
#ifdef ASSAY_VECTORS_512
  const bool mean = rule.reduce == Reduce::kMeanAgree || rule.reduce == Reduce::kWeightedMeanAgree;
  if (!mean || !trims_evenly(loop, index)) return false;
  if (mean_in_halves(loop, index, rule.tie_sign, out)) return true;
  with_trim_kind(loop,
                 [&]<typename Kind>(Kind) { mean_512<Kind>(loop, index, rule.tie_sign, out); });
  return true;
#else
  return false;
#endif
}

bool sign_sum_trimmed([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] int64_t index,
                      [[maybe_unused]] int64_t& sum) {
#ifdef ASSAY_VECTORS_512
  if (!trims_evenly(loop, index)) return false;
  with_trim_kind(loop, [&]<typename Kind>(Kind) { sum = signs_512<Kind>(loop, index); });
  return true;
#else
  return false;
#endif
}

bool norms_in_vectors([[maybe_unused]] const Operand* operands,
                      [[maybe_unused]] const DeltaTerm& term,
                      [[maybe_unused]] const uint32_t* least, [[maybe_unused]] int64_t begin,
                      [[maybe_unused]] int64_t size, [[maybe_unused]] double* whole,
                      [[maybe_unused]] double* left) {
#ifdef ASSAY_VECTORS_512
  const TermLoop loop{operands, &term, 1, &least, begin, size};
  if (term.rescale != 1.0f || !whole_vectors(loop)) return false;
  if (operands[0].storage == DType::kFloat32)
    norms_512<DType::kFloat32, false>(operands, least, begin, size, whole, left);
  else if (term.rounding == DType::kBFloat16)
    norms_512<DType::kBFloat16, true>(operands, least, begin, size, whole, left);
  else
    norms_512<DType::kBFloat16, false>(operands, least, begin, size, whole, left);
  return true;
#else
  return false;
#endif
}

bool reduce_dropped([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] int64_t index,
                    [[maybe_unused]] const DeltaRule& rule, [[maybe_unused]] float* out) {
#ifdef ASSAY_VECTORS_512
  const bool all = rule.reduce == Reduce::kSumAll;
  if ((all ? rule.divisor != 1.0f : rule.reduce != Reduce::kSumAgree) || !whole_vectors(loop))
    return false;
  RunMask masks[kFewTerms];
  for (int i = 0; i < loop.count; ++i) kept_run(loop.terms[i], index, loop.size, masks[i]);
  with_kind<Trim::kDrops, true>(loop, [&]<typename Kind>(Kind) {
    if (all)
      sum_512<Kind, false>(loop, masks, rule.tie_sign, out);
    else
      sum_512<Kind, true>(loop, masks, rule.tie_sign, out);
  });
  return true;
#else
  return false;
#endif
}

bool sum_in_vectors([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] const DeltaRule& rule,
                    [[maybe_unused]] float* out) {
#ifdef ASSAY_VECTORS_512
  const bool all = rule.reduce == Reduce::kSumAll;
  if ((!all && rule.reduce != Reduce::kSumAgree) || !whole_vectors(loop)) return false;
  bool whole = true;
  for (int i = 0; i < loop.count; ++i) {
    const DeltaTerm& term = loop.terms[i];
    whole &= term.drop == 0.0f && term.rescale == 1.0f && term.threshold == 0;
  }
  if (all && whole)
    with_kind<Trim::kNone, true>(loop, [&]<typename Kind>(Kind) {
      sum_512<Kind, false>(loop, nullptr, rule.tie_sign, out);
    });
  else if (all)
    with_kind<Trim::kRows, true>(loop, [&]<typename Kind>(Kind) {
      sum_512<Kind, false>(loop, nullptr, rule.tie_sign, out);
    });
  else
    with_kind<Trim::kRows, true>(
        loop, [&]<typename Kind>(Kind) { sum_512<Kind, true>(loop, nullptr, rule.tie_sign, out); });
  return true;
#else
  return false;
#endif
}

}  // namespace assay
