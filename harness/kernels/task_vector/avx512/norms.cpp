#include "harness/kernels/sums/runs.h"
#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/vector_loops.h"

#ifdef ASSAY_VECTORS_512

namespace assay {
namespace {

// Earns the DARE-TIES row of merges to a folder: see harness/kernels/README.md.

/// Adds magnitudes to 16 lanes, of which `sums` holds 8 each.
ASSAY_TARGET_512 inline void add_512(__m512 values, __m512d* sums) {
  const __m512 magnitudes = _mm512_abs_ps(values);
  const __m512d upper =
      _mm512_castpd256_pd512(_mm512_extractf64x4_pd(_mm512_castps_pd(magnitudes), 1));
  sums[0] = _mm512_add_pd(sums[0], _mm512_cvtps_pd(_mm512_castps512_ps256(magnitudes)));
  sums[1] =
      _mm512_add_pd(sums[1], _mm512_cvtps_pd(_mm512_castps512_ps256(_mm512_castpd_ps(upper))));
}

/// VectorLoops::norms.
ASSAY_TARGET_512 void norms_512(const TermLoop& loop, double* whole, double* left) {
  const float rescale = loop.terms->rescale;
  __m512d all[] = {_mm512_loadu_pd(whole), _mm512_loadu_pd(whole + 8)};
  __m512d kept[] = {_mm512_loadu_pd(left), _mm512_loadu_pd(left + 8)};
  for (int64_t j = 0; j < loop.size; j += kVectorValues) {
    const int64_t at = loop.begin + j;
    __m512 delta = rounded_512(_mm512_sub_ps(load_bf16_512(loop.operands[1].data, at),
                                             load_bf16_512(loop.operands[0].data, at)));
    add_512(delta, all);
    if (rescale != 1.0F) delta = rounded_512(_mm512_mul_ps(delta, _mm512_set1_ps(rescale)));
    const uint32_t mask = loop.masks[0][j / kMaskBits] >> static_cast<uint32_t>(j % kMaskBits);
    add_512(_mm512_maskz_mov_ps(static_cast<__mmask16>(mask), delta), kept);
  }
  for (int64_t half = 0; half < 2; ++half) {
    _mm512_storeu_pd(whole + 8 * half, all[half]);
    _mm512_storeu_pd(left + 8 * half, kept[half]);
  }
}
static_assert(kLanes == kVectorValues);

}  // namespace

void add_vector_norms(VectorLoops& loops) { loops.norms = norms_512; }

}  // namespace assay
#endif
