#include "harness/kernels/loops.h"
#include "harness/kernels/loops_delta.h"
#include "harness/kernels/vectors_512.h"

namespace assay {

ASSAY_VECTORISED
void high_halves(const float* __restrict values, int64_t size, uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j)
    out[j] = static_cast<uint16_t>(magnitude_bits(values[j]) >> 16);
}

namespace {

#ifdef ASSAY_VECTORS_512
/// Counting in a range, 16 magnitudes at a time. Without branches: whether some lie inside cannot
/// be foretold.
class Bins512 {
 public:
  ASSAY_TARGET_512 explicit Bins512(RangeHits& hits)
      : hits_(hits),
        low_(all(hits.range.low)),
        span_(all(hits.range.span)),
        likely_(all(hits.likely)),
        shift_(_mm_cvtsi32_si128(hits.range.shift)) {}
  ASSAY_TARGET_512 void take(__m512 values) {
    const __m512i bits = _mm512_and_si512(_mm512_castps_si512(values), all(0x7fffffffu));
    const __m512i distance = _mm512_sub_epi32(bits, low_);
    const uint32_t equal = _mm512_cmpeq_epi32_mask(bits, likely_);
    const auto others = static_cast<__mmask16>(_mm512_cmplt_epu32_mask(distance, span_) & ~equal);
    below_ += _mm_popcnt_u32(_mm512_cmplt_epu32_mask(bits, low_));
    equal_ += _mm_popcnt_u32(equal);
    const __m512i bins = _mm512_srl_epi32(distance, shift_);
    _mm512_storeu_si512(hits_.bins + found_, _mm512_maskz_compress_epi32(others, bins));
    found_ += _mm_popcnt_u32(others);
  }
  void end() {
    hits_.found = found_;
    hits_.below += below_;
    hits_.equal += equal_;
  }

 private:
  ASSAY_TARGET_512 static __m512i all(uint32_t value) {
    return _mm512_set1_epi32(static_cast<int>(value));
  }

  RangeHits& hits_;
  __m512i low_, span_, likely_;
  __m128i shift_;
  int64_t found_ = hits_.found, below_ = 0, equal_ = 0;
};

/// Whole vectors of `size` values.
ASSAY_TARGET_512 void value_bins_512(const float* values, int64_t size, RangeHits& hits) {
  Bins512 bins(hits);
  for (int64_t j = 0; j + kVectorValues <= size; j += kVectorValues)
    bins.take(_mm512_loadu_ps(values + j));
  bins.end();
}

/// Whole vectors of the deltas of `count` experts, at most kFewTerms, side by side: all models are
/// then read at one pace, which is what a processor's prefetching is good at.
template <Storage kStorage, typename... Hits>
ASSAY_TARGET_512 void delta_bins_512(const Operand* operands, int64_t begin, int64_t size,
                                     Hits&... hits) {
  const auto take = [&](auto... bins) ASSAY_TARGET_512 {
    for (int64_t j = 0; j + kVectorValues <= size; j += kVectorValues) {
      const __m512 base = load_ahead_512<kStorage>(operands[0].data, begin + j);
      int i = 0;
      (bins.take(_mm512_sub_ps(load_ahead_512<kStorage>(operands[++i].data, begin + j), base)),
       ...);
    }
    (bins.end(), ...);
  };
  take(Bins512(hits)...);
}

template <Storage kStorage>
ASSAY_TARGET_512 void delta_bins_512(const Operand* operands, int count, int64_t begin,
                                     int64_t size, RangeHits* hits) {
  switch (count) {
    case 1:
      return delta_bins_512<kStorage>(operands, begin, size, hits[0]);
    case 2:
      return delta_bins_512<kStorage>(operands, begin, size, hits[0], hits[1]);
    case 3:
      return delta_bins_512<kStorage>(operands, begin, size, hits[0], hits[1], hits[2]);
    default:
      return delta_bins_512<kStorage>(operands, begin, size, hits[0], hits[1], hits[2], hits[3]);
  }
}
#endif

}  // namespace

void bins_in_range(const float* values, int64_t size, RangeHits& hits) {
  int64_t j = 0;
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512()) {
    value_bins_512(values, size, hits);
    j = size / kVectorValues * kVectorValues;
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
    done = size / kVectorValues * kVectorValues;
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
