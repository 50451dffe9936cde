#include "harness/kernels/isa.h"
#include "harness/kernels/loops.h"
#include "harness/kernels/loops_delta.h"

namespace assay {

ASSAY_VECTORISED
void high_halves(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

ASSAY_VECTORISED
void delta_halves(const void* base, const void* expert, int64_t begin, int64_t size,
                  uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j) {
    const float start = load_as<Storage::kBFloat16>(base, begin + j);
    const float changed = load_as<Storage::kBFloat16>(expert, begin + j);
    const float delta = plain_delta(changed, start, Storage::kBFloat16);
    out[j] = static_cast<uint16_t>(magnitude_bits(delta) >> 16);
  }
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

struct Vectors512 {
  __m512i low, span, likely, smaller, equal;
};

/// What counting in a range takes of 16 magnitudes: adds to `smaller` and `equal` where they lie
/// below or are the likely one, writes the bins of others inside to `out`; returns how many those
/// are.
ASSAY_TARGET_512 inline int64_t take_bins(__m512 values, Vectors512& range, __m128i shift,
                                          uint32_t* out) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), one = _mm512_set1_epi32(1);
  const __m512i bits = _mm512_and_si512(_mm512_castps_si512(values), magnitude);
  const __mmask16 below = _mm512_cmplt_epu32_mask(bits, range.low);
  range.smaller = _mm512_mask_add_epi32(range.smaller, below, range.smaller, one);
  const __mmask16 likely = _mm512_cmpeq_epi32_mask(bits, range.likely);
  range.equal = _mm512_mask_add_epi32(range.equal, likely, range.equal, one);
  const __m512i distance = _mm512_sub_epi32(bits, range.low);
  const __mmask16 inside = _mm512_mask_cmplt_epu32_mask(_knot_mask16(likely), distance, range.span);
  if (inside == 0) return 0;  // mostly
  const __m512i bins = _mm512_srl_epi32(distance, shift);
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(inside, bins));
  return _mm_popcnt_u32(inside);
}

ASSAY_TARGET_512 inline Vectors512 vectors_of(const RangeHits& hits) {
  return {_mm512_set1_epi32(static_cast<int>(hits.range.low)),
          _mm512_set1_epi32(static_cast<int>(hits.range.span)),
          _mm512_set1_epi32(static_cast<int>(hits.likely)), _mm512_setzero_si512(),
          _mm512_setzero_si512()};
}

/// Whole vectors of `size` values.
ASSAY_TARGET_512 void value_bins_512(const float* values, int64_t size, RangeHits& hits) {
  Vectors512 vectors = vectors_of(hits);
  const __m128i shift = _mm_cvtsi32_si128(hits.range.shift);
  for (int64_t j = 0; j + kValues <= size; j += kValues)
    hits.found += take_bins(_mm512_loadu_ps(values + j), vectors, shift, hits.bins + hits.found);
  hits.below += _mm512_reduce_add_epi32(vectors.smaller);
  hits.equal += _mm512_reduce_add_epi32(vectors.equal);
}

/// Whole vectors of the deltas of `kCount` experts, side by side: all models are then read at one
/// pace, which is what a processor's prefetching is good at.
template <Storage kStorage, int kCount>
ASSAY_TARGET_512 void delta_bins_512(const Operand* operands, int64_t begin, int64_t size,
                                     RangeHits* hits) {
  Vectors512 vectors[kCount];
  __m128i shift[kCount];
  int64_t found[kCount] = {};
  uint32_t* bins[kCount];
  for (int i = 0; i < kCount; ++i) {
    bins[i] = hits[i].bins + hits[i].found;
    vectors[i] = vectors_of(hits[i]);
    shift[i] = _mm_cvtsi32_si128(hits[i].range.shift);
  }
  for (int64_t j = 0; j + kValues <= size; j += kValues) {
    const __m512 base = load_512<kStorage>(operands[0].data, begin + j);
    for (int i = 0; i < kCount; ++i) {
      const __m512 expert = load_512<kStorage>(operands[i + 1].data, begin + j);
      found[i] += take_bins(_mm512_sub_ps(expert, base), vectors[i], shift[i], bins[i] + found[i]);
    }
  }
  for (int i = 0; i < kCount; ++i) {
    hits[i].found += found[i];
    hits[i].below += _mm512_reduce_add_epi32(vectors[i].smaller);
    hits[i].equal += _mm512_reduce_add_epi32(vectors[i].equal);
  }
}

template <Storage kStorage>
ASSAY_TARGET_512 void delta_bins_512(const Operand* operands, int count, int64_t begin,
                                     int64_t size, RangeHits* hits) {
  switch (count) {
    case 1:
      return delta_bins_512<kStorage, 1>(operands, begin, size, hits);
    case 2:
      return delta_bins_512<kStorage, 2>(operands, begin, size, hits);
    case 3:
      return delta_bins_512<kStorage, 3>(operands, begin, size, hits);
    default:
      return delta_bins_512<kStorage, kFewTerms>(operands, begin, size, hits);
  }
}
#endif

}  // namespace

void bins_in_range(const float* values, int64_t size, RangeHits& hits) {
  int64_t j = 0;
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512()) {
    value_bins_512(values, size, hits);
    j = size / kValues * kValues;
  }
#endif
  for (; j < size; ++j) {
    const uint32_t bits = magnitude_bits(values[j]);
    hits.equal += bits == hits.likely ? 1 : 0;
    if (bits != hits.likely && hits.range.holds(bits))
      hits.bins[hits.found++] = hits.range.bin(bits);
    hits.below += bits < hits.range.low ? 1 : 0;
  }
}

void delta_bins_in_range(const Operand* operands, int count, int64_t begin, int64_t size,
                         RangeHits* hits) {
  int64_t done = 0;
#ifdef ASSAY_VECTORS_512
  const Storage storage = operands[0].storage;
  bool fits = has_vectors_512() && count >= 1 && count <= kFewTerms &&
              (storage == Storage::kFloat32 || storage == Storage::kBFloat16);
  for (int i = 0; i <= count; ++i) fits &= operands[i].storage == storage;
  if (fits) {
    if (storage == Storage::kFloat32)
      delta_bins_512<Storage::kFloat32>(operands, count, begin, size, hits);
    else
      delta_bins_512<Storage::kBFloat16>(operands, count, begin, size, hits);
    done = size / kValues * kValues;
  }
#endif
  if (done == size) return;
  float start[kRun], deltas[kRun];
  constexpr uint32_t kAll[kRun] = {};
  load_run(operands[0], begin + done, size - done, start);
  for (int i = 0; i < count; ++i) {
    term_run(operands[i + 1], begin + done, start, {}, kAll, size - done, deltas);
    bins_in_range(deltas, size - done, hits[i]);
  }
}

ASSAY_VECTORISED
int64_t count_magnitude(const float* values, int64_t size, uint32_t bits) {
  int32_t count = 0;
  for (int64_t j = 0; j < size; ++j) count += magnitude_bits(values[j]) == bits ? 1 : 0;
  return count;
}

}  // namespace assay
