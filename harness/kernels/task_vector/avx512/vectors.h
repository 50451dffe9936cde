/// Vectors of 16 float32 values that are read from bfloat16 and rounded to it.
#pragma once

#include <cstdint>

#include "harness/kernels/internal/isa.h"

#ifdef ASSAY_VECTORS_512

namespace assay {

inline constexpr int64_t kVectorValues = 16;

/// Values [at, at + 16) of an array of bfloat16.
ASSAY_TARGET_512 inline __m512 load_bf16_512(const void* data, int64_t at) {
  const auto* from = reinterpret_cast<const __m256i*>(static_cast<const uint16_t*>(data) + at);
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/// round_to_bfloat16().
ASSAY_TARGET_512 inline __m512 rounded_512(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i upper16 = _mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xffff0000U)));
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(upper16, nan, _mm512_set1_epi32(0x7fc00000)));
}

}  // namespace assay
#endif
