#include "harness/kernels/internal/isa.h"
#include "harness/kernels/task_vector/vector_loops.h"

#ifdef ASSAY_VECTORS_512

namespace assay {
namespace {

constexpr int64_t kVectorValues = 16;

// For the TIES row of bench_merging: see harness/kernels/README.md.

ASSAY_TARGET_512 inline __m512i all_512(uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}

/// bins_in_range(), without branches, which would be mispredicted.
ASSAY_TARGET_512 void bins_512(const float* values, int64_t size, RangeHits& hits) {
  const __m512i low = all_512(hits.range.low), span = all_512(hits.range.span);
  const __m512i likely = all_512(hits.likely);
  const __m128i shift = _mm_cvtsi32_si128(hits.range.shift);
  for (int64_t j = 0; j < size; j += kVectorValues) {
    const __m512i bits = _mm512_and_si512(_mm512_loadu_si512(values + j), all_512(0x7fffffffu));
    const __m512i distance = _mm512_sub_epi32(bits, low);
    const __mmask16 equal = _mm512_cmpeq_epi32_mask(bits, likely);
    const auto others =
        static_cast<__mmask16>(_mm512_cmplt_epu32_mask(distance, span) & ~uint32_t{equal});
    hits.below += _mm_popcnt_u32(_mm512_cmplt_epu32_mask(bits, low));
    hits.equal += _mm_popcnt_u32(equal);
    _mm512_storeu_si512(hits.bins + hits.found,
                        _mm512_maskz_compress_epi32(others, _mm512_srl_epi32(distance, shift)));
    hits.found += _mm_popcnt_u32(others);
  }
}

}  // namespace

void add_vector_bins(VectorLoops& loops) { loops.bins = bins_512; }

}  // namespace assay
#endif
