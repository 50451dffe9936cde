/// The election and the mean of what agrees, of 16 elements at a time: see agree() in delta.h.
#pragma once

#include "harness/kernels/task_vector/avx512/vectors.h"

#ifdef ASSAY_VECTORS_512

namespace assay {

/// Which values agree with the sign that votes elect.
class Agreeing512 {
 public:
  ASSAY_TARGET_512 explicit Agreeing512(__m512 votes, __m512 tie_sign) {
    const __m512 zero = _mm512_setzero_ps();
    const __m512 sign =
        _mm512_mask_mov_ps(votes, _mm512_cmp_ps_mask(votes, zero, _CMP_EQ_UQ), tie_sign);
    // Values of the elected sign become positive.
    flip_ = _mm512_and_si512(_mm512_castps_si512(sign),
                             _mm512_set1_epi32(static_cast<int>(0x80000000U)));
    elected_ = _mm512_cmp_ps_mask(sign, zero, _CMP_NEQ_UQ);
  }
  ASSAY_TARGET_512 __mmask16 mask(__m512 value) const {
    const __m512 turned = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(value), flip_));
    return _mm512_mask_cmp_ps_mask(elected_, turned, _mm512_setzero_ps(), _CMP_GT_OQ);
  }

 private:
  __m512i flip_;
  __mmask16 elected_;
};

/// The mean of those that agree, with kBrief rounded to bfloat16 as their sum is.
template <int kCount, bool kBrief>
ASSAY_TARGET_512 inline __m512 agreeing_mean_512(const __m512* values, __m512 votes,
                                                 __m512 tie_sign) {
  const Agreeing512 agreeing(votes, tie_sign);
  // Multiplying by these is dividing, but for 1/3.
  const __m512 inverse = _mm512_set_ps(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.25F, 0, 0.5F, 1, 1);
  __m512 sum = _mm512_setzero_ps();
  __m512i share = _mm512_setzero_si512();
  for (int i = 0; i < kCount; ++i) {
    const __mmask16 agrees = agreeing.mask(values[i]);
    sum = _mm512_mask_add_ps(sum, agrees, sum, values[i]);
    share = _mm512_mask_add_epi32(share, agrees, share, _mm512_set1_epi32(1));
  }
  if (kBrief) sum = round_brief_512(sum);
  __m512 mean = _mm512_mul_ps(sum, _mm512_permutexvar_ps(share, inverse));
  if (kCount >= 3) {
    const __mmask16 thirds = _mm512_cmpeq_epi32_mask(share, _mm512_set1_epi32(3));
    if (thirds != 0) mean = _mm512_mask_div_ps(mean, thirds, sum, _mm512_set1_ps(3));
  }
  return kBrief ? round_brief_512(mean) : mean;
}

}  // namespace assay
#endif
