/// AVX-512 vectors of 16 values, and of 32 of bfloat16.
#pragma once

#include "harness/kernels/dtype/dtype.h"
#include "harness/kernels/isa.h"

#ifdef ASSAY_VECTORS_512

namespace assay {

inline constexpr int64_t kVectorValues = 16;

/// load_as() of 16 values of float32 or bfloat16.
template <DType kStorage>
ASSAY_TARGET_512 inline __m512 load_512(const void* data, int64_t index) {
  static_assert(kStorage == DType::kFloat32 || kStorage == DType::kBFloat16);
  if constexpr (kStorage == DType::kFloat32)
    return _mm512_loadu_ps(static_cast<const float*>(data) + index);
  const void* words = static_cast<const uint16_t*>(data) + index;
  const __m256i low = _mm256_loadu_si256(static_cast<const __m256i*>(words));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
}

/// Asks for what follows `from` in a long array. Hardware reads ahead within a page; with several
/// arrays side by side it comes to the end of one often.
inline void ask_ahead(const void* from) {
  constexpr int64_t kBytesAhead = 512;
  _mm_prefetch(static_cast<const char*>(from) + kBytesAhead, _MM_HINT_T0);
}
/// load_512() in a long array.
template <DType kStorage>
ASSAY_TARGET_512 inline __m512 load_ahead_512(const void* data, int64_t index) {
  ask_ahead(static_cast<const char*>(data) + index * dtype_bytes(kStorage));
  return load_512<kStorage>(data, index);
}

/// The bits to which bfloat16 rounds, in the upper halves. A NaN that bfloat16 holds stays one.
ASSAY_TARGET_512 inline __m512i rounded_up_512(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  return _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
}
inline constexpr int kUpperHalf = static_cast<int>(0xffff0000U);

/// round_to_bfloat16() but for the bits of NaN, of results of arithmetic on values of bfloat16:
/// their NaN have no bits in the lower halves, which could carry over.
ASSAY_TARGET_512 inline __m512 round_brief_512(__m512 values) {
  return _mm512_castsi512_ps(
      _mm512_and_si512(rounded_up_512(values), _mm512_set1_epi32(kUpperHalf)));
}

/// round_to_bfloat16().
ASSAY_TARGET_512 inline __m512 round_to_bfloat16_512(__m512 values) {
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(_mm512_castps_si512(round_brief_512(values)),
                                                   nan, _mm512_set1_epi32(0x7fc00000)));
}

/// 32 values of bfloat16 in float32: those at even places and those at odd ones.
struct Pairs512 {
  __m512 even, odd;
};
ASSAY_TARGET_512 inline Pairs512 widened_512(__m512i halves) {
  const __m512i odd = _mm512_and_si512(halves, _mm512_set1_epi32(kUpperHalf));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(halves, 16)), _mm512_castsi512_ps(odd)};
}
/// The same from a long array of bfloat16.
ASSAY_TARGET_512 inline Pairs512 widened_ahead_512(const void* data, int64_t index) {
  const auto* from = static_cast<const uint16_t*>(data) + index;
  ask_ahead(from);
  return widened_512(_mm512_loadu_si512(from));
}
/// The halves of the bits of 32 values, in order.
struct Halves512 {
  __m512i upper, lower;
};
ASSAY_TARGET_512 inline Halves512 halves_512(Pairs512 values) {
  constexpr __mmask32 kOdd = 0xaaaaaaaaU;
  const __m512i even = _mm512_castps_si512(values.even), odd = _mm512_castps_si512(values.odd);
  return {_mm512_mask_mov_epi16(_mm512_srli_epi32(even, 16), kOdd, odd),
          _mm512_mask_mov_epi16(even, kOdd, _mm512_slli_epi32(odd, 16))};
}
/// round_brief_512() of both, as bfloat16.
ASSAY_TARGET_512 inline __m512i narrowed_brief_512(Pairs512 values) {
  const auto [upper, lower] = halves_512(values);
  // More than half of a unit, or half of it and the last bit is odd. A NaN's lower half is 0.
  const __m512i last = _mm512_and_si512(upper, _mm512_set1_epi16(1));
  const __mmask32 up = _mm512_cmpgt_epu16_mask(_mm512_adds_epu16(lower, last),
                                               _mm512_set1_epi16(static_cast<int16_t>(0x8000)));
  return _mm512_mask_add_epi16(upper, up, upper, _mm512_set1_epi16(1));
}

}  // namespace assay
#endif
