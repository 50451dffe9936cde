#include "harness/kernels/isa.h"
#include "harness/kernels/loops_delta.h"

namespace assay {

ASSAY_VECTORISED
void high_halves(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

namespace {

#ifdef ASSAY_VECTORS_512
constexpr int64_t kValues = 16;  // of a vector

/// load_as() of 16 values of float32 or bfloat16.
template <Storage kStorage>
ASSAY_TARGET_512 inline __m512 load_512(const void* data, int64_t index) {
  if constexpr (kStorage == Storage::kFloat32)
    return _mm512_loadu_ps(static_cast<const float*>(data) + index);
  const void* words = static_cast<const uint16_t*>(data) + index;
  const __m256i low = _mm256_loadu_si256(static_cast<const __m256i*>(words));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
}

/// Of whole vectors; `base` is subtracted unless it is null.
template <Storage kStorage>
ASSAY_TARGET_512 int64_t compress_bins(const void* data, int64_t begin, const float* base,
                                       int64_t size, const MagnitudeRange& range, uint32_t* out,
                                       int64_t& below) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), one = _mm512_set1_epi32(1);
  const __m512i low = _mm512_set1_epi32(static_cast<int>(range.low));
  const __m512i span = _mm512_set1_epi32(static_cast<int>(range.span));
  const __m128i shift = _mm_cvtsi32_si128(range.shift);
  __m512i smaller = _mm512_setzero_si512();
  int64_t found = 0;
  for (int64_t j = 0; j + kValues <= size; j += kValues) {
    __m512 values = load_512<kStorage>(data, begin + j);
    if (base) values = _mm512_sub_ps(values, _mm512_loadu_ps(base + j));
    const __m512i bits = _mm512_and_si512(_mm512_castps_si512(values), magnitude);
    const __m512i distance = _mm512_sub_epi32(bits, low);
    smaller = _mm512_mask_add_epi32(smaller, _mm512_cmplt_epu32_mask(bits, low), smaller, one);
    const __mmask16 inside = _mm512_cmplt_epu32_mask(distance, span);
    const __m512i bins = _mm512_srl_epi32(distance, shift);
    _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(inside, bins));
    found += _mm_popcnt_u32(inside);
  }
  below += _mm512_reduce_add_epi32(smaller);
  return found;
}
#endif

}  // namespace

int64_t bins_in_range(const float* values, int64_t size, const MagnitudeRange& range, uint32_t* out,
                      int64_t& below) {
  int64_t found = 0, j = 0;
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512()) {
    found = compress_bins<Storage::kFloat32>(values, 0, nullptr, size, range, out, below);
    j = size / kValues * kValues;
  }
#endif
  for (; j < size; ++j) {
    const uint32_t bits = magnitude_bits(values[j]);
    if (range.holds(bits)) out[found++] = range.bin(bits);
    below += bits < range.low ? 1 : 0;
  }
  return found;
}

int64_t delta_bins_in_range(const Operand& expert, int64_t begin, const float* base, int64_t size,
                            const MagnitudeRange& range, uint32_t* out, int64_t& below) {
  int64_t found = 0, j = 0;
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512() &&
      (expert.storage == Storage::kFloat32 || expert.storage == Storage::kBFloat16)) {
    const auto compress = expert.storage == Storage::kFloat32 ? &compress_bins<Storage::kFloat32>
                                                              : &compress_bins<Storage::kBFloat16>;
    found = compress(expert.data, begin, base, size, range, out, below);
    j = size / kValues * kValues;
  }
#endif
  for (; j < size; ++j) {
    const float delta = plain_delta(load(expert, begin + j), base[j], Storage::kFloat32);
    const uint32_t bits = magnitude_bits(delta);
    if (range.holds(bits)) out[found++] = range.bin(bits);
    below += bits < range.low ? 1 : 0;
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
