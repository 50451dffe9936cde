#include "harness/kernels/loops_delta.h"
#include "harness/kernels/vectors_512.h"

namespace assay {
namespace {

#ifdef ASSAY_VECTORS_512

/// What loops are compiled for: the dtype, whether deltas are rounded to it, whether bits keep some
/// of the ties, the number of experts.
template <Storage kDtype, bool kRounds, bool kTies, int kExperts>
struct TrimKind {
  static constexpr Storage kStorage = kDtype;
  static constexpr bool kBrief = kRounds, kTieBits = kTies;
  static constexpr int kCount = kExperts;
};

/// Deltas of experts that are trimmed and nothing else, 16 elements at a time. Bits of ties become
/// masks as they are.
template <typename Kind>
class Trimmed512 {
  static constexpr Storage kStorage = Kind::kStorage;
  static constexpr bool kBrief = Kind::kBrief;
  static constexpr int kCount = Kind::kCount;

 public:
  ASSAY_TARGET_512 explicit Trimmed512(const TermLoop& loop, int64_t index)
      : base_(loop.operands[0].data), begin_(loop.begin) {
    static constexpr uint64_t kNoTies[kRun / 64] = {};
    for (int i = 0; i < kCount; ++i) {
      const DeltaTerm& term = loop.terms[i];
      experts_[i] = loop.operands[i + 1].data;
      // Zeros count for nothing, kept or not.
      const bool keeps_ties = !term.kept_ties && term.tie_end > index;
      const uint32_t below = term.threshold == 0 ? 0 : term.threshold - (keeps_ties ? 1 : 0);
      below_[i] = _mm512_set1_epi32(static_cast<int>(below));
      ties_[i] =
          reinterpret_cast<const char*>(term.kept_ties ? term.kept_ties + index / 64 : kNoTies);
    }
  }
  /// Values of elements from number `j` of the run on; returns their sum.
  ASSAY_TARGET_512 __m512 load(int64_t j, __m512* values) const {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const __m512 base = load_512<kStorage>(base_, begin_ + j);
    __m512 votes = _mm512_setzero_ps();
    for (int i = 0; i < kCount; ++i) {
      __m512 delta = _mm512_sub_ps(load_512<kStorage>(experts_[i], begin_ + j), base);
      if (kBrief) delta = round_to_bfloat16_512(delta);
      const __m512i bits = _mm512_and_si512(_mm512_castps_si512(delta), magnitude);
      __mmask16 kept = _mm512_cmpgt_epu32_mask(bits, below_[i]);
      if (Kind::kTieBits) {
        uint16_t ties;
        memcpy(&ties, ties_[i] + j / 8, sizeof ties);
        kept |= _mm512_mask_cmpeq_epu32_mask(ties, bits, below_[i]);
      }
      values[i] = _mm512_maskz_mov_ps(kept, delta);
      votes = i == 0 ? values[i] : _mm512_add_ps(votes, values[i]);
    }
    return votes;
  }

 private:
  const void* base_;
  const void* experts_[kCount];
  int64_t begin_;
  __m512i below_[kCount];
  const char* ties_[kCount];
};

template <typename Kind>
ASSAY_TARGET_512 void mean_512(const TermLoop& loop, int64_t index, float tie_sign, float* out) {
  const Trimmed512<Kind> terms(loop, index);
  const __m512 zero = _mm512_setzero_ps(), sign_of_ties = _mm512_set1_ps(tie_sign);
  const __m512i one = _mm512_set1_epi32(1), three = _mm512_set1_epi32(3);
  const __m512i sign_bit = _mm512_set1_epi32(static_cast<int>(0x80000000U));
  // Multiplying by these is dividing, but for 1/3.
  const __m512 inverse = _mm512_set_ps(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.25F, 0, 0.5F, 1, 1);
  for (int64_t j = 0; j < loop.size; j += kVectorValues) {
    __m512 values[Kind::kCount];
    const __m512 votes = terms.load(j, values);
    const __m512 sign =
        _mm512_mask_mov_ps(votes, _mm512_cmp_ps_mask(votes, zero, _CMP_EQ_UQ), sign_of_ties);
    // Values of the elected sign become positive.
    const __m512i flip = _mm512_and_si512(_mm512_castps_si512(sign), sign_bit);
    const __mmask16 elected = _mm512_cmp_ps_mask(sign, zero, _CMP_NEQ_UQ);
    __m512 sum = zero;
    __m512i share = _mm512_setzero_si512();
    for (int i = 0; i < Kind::kCount; ++i) {
      const __m512i turned = _mm512_xor_si512(_mm512_castps_si512(values[i]), flip);
      const __mmask16 agrees =
          _mm512_mask_cmp_ps_mask(elected, _mm512_castsi512_ps(turned), zero, _CMP_GT_OQ);
      sum = _mm512_mask_add_ps(sum, agrees, sum, values[i]);
      share = _mm512_mask_add_epi32(share, agrees, share, one);
    }
    if (Kind::kBrief) sum = round_to_bfloat16_512(sum);
    __m512 mean = _mm512_mul_ps(sum, _mm512_permutexvar_ps(share, inverse));
    if (Kind::kCount >= 3) {
      const __mmask16 thirds = _mm512_cmpeq_epi32_mask(share, three);
      if (thirds != 0) mean = _mm512_mask_div_ps(mean, thirds, sum, _mm512_set1_ps(3));
    }
    if (Kind::kBrief) mean = round_to_bfloat16_512(mean);
    _mm512_storeu_ps(out + j, mean);
  }
}

template <typename Kind>
ASSAY_TARGET_512 int64_t signs_512(const TermLoop& loop, int64_t index) {
  const Trimmed512<Kind> terms(loop, index);
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

/// Calls `body` with the TrimKind.
template <typename Body>
void with_trim_kind(const TermLoop& loop, const Body& body) {
  bool ties = false;
  for (int i = 0; i < loop.count; ++i) ties |= loop.terms[i].kept_ties != nullptr;
  const auto with_count = [&]<Storage kStorage, bool kBrief, bool kTies>() {
    switch (loop.count) {
      case 1:
        return body(TrimKind<kStorage, kBrief, kTies, 1>{});
      case 2:
        return body(TrimKind<kStorage, kBrief, kTies, 2>{});
      case 3:
        return body(TrimKind<kStorage, kBrief, kTies, 3>{});
      default:
        return body(TrimKind<kStorage, kBrief, kTies, kFewTerms>{});
    }
  };
  const auto with_ties = [&]<Storage kStorage, bool kBrief>() {
    if (ties) return with_count.template operator()<kStorage, kBrief, true>();
    return with_count.template operator()<kStorage, kBrief, false>();
  };
  if (loop.operands[0].storage == Storage::kFloat32)
    return with_ties.template operator()<Storage::kFloat32, false>();
  if (loop.terms[0].rounding == Storage::kBFloat16)
    return with_ties.template operator()<Storage::kBFloat16, true>();
  return with_ties.template operator()<Storage::kBFloat16, false>();
}

/// Whether a run is one of whole vectors, and one in which each expert keeps all ties or none but
/// for those with bits.
bool fits_vectors(const TermLoop& loop, int64_t index) {
  if (!has_vectors_512() || loop.size % kVectorValues != 0) return false;
  for (int i = 0; i < loop.count; ++i) {
    const DeltaTerm& term = loop.terms[i];
    if (!term.kept_ties && term.tie_end > index && term.tie_end < index + loop.size) return false;
  }
  return true;
}
#endif

}  // namespace

bool only_trims(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect) {
  if (!fits_registers(operands, terms, elect) || operands[0].storage == Storage::kFloat16)
    return false;
  for (const DeltaTerm& term : terms)
    if (term.drop != 0.0f || term.rescale != 1.0f || term.weight != 1.0f) return false;
  return true;
}

bool reduce_trimmed([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] int64_t index,
                    [[maybe_unused]] const DeltaRule& rule, [[maybe_unused]] float* out) {
#ifdef ASSAY_VECTORS_512
  const bool mean = rule.reduce == Reduce::kMeanAgree || rule.reduce == Reduce::kWeightedMeanAgree;
  if (!mean || !fits_vectors(loop, index)) return false;
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
  if (!fits_vectors(loop, index)) return false;
  with_trim_kind(loop, [&]<typename Kind>(Kind) { sum = signs_512<Kind>(loop, index); });
  return true;
#else
  return false;
#endif
}

}  // namespace assay
