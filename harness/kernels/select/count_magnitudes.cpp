#include <algorithm>
#include <utility>

#include "harness/kernels/loops.h"
#include "harness/kernels/task_vector/avx512/key_vectors.h"
#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/loops_delta.h"

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
    take_bits(_mm512_and_si512(_mm512_castps_si512(values), all(0x7fffffffu)), 0xffff);
  }
  /// Some of 16 magnitude_bits().
  ASSAY_TARGET_512 void take_bits(__m512i bits, __mmask16 some) {
    const __m512i distance = _mm512_sub_epi32(bits, low_);
    const uint32_t equal = _mm512_mask_cmpeq_epi32_mask(some, bits, likely_);
    const auto others =
        static_cast<__mmask16>(_mm512_mask_cmplt_epu32_mask(some, distance, span_) & ~equal);
    below_ += _mm_popcnt_u32(_mm512_mask_cmplt_epu32_mask(some, bits, low_));
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
template <DType kStorage, size_t... kPlaces>
ASSAY_TARGET_512 void delta_bins_512(const Operand* operands, int64_t begin, int64_t size,
                                     RangeHits* hits, std::index_sequence<kPlaces...>) {
  const auto take = [&](auto... bins) ASSAY_TARGET_512 {
    for (int64_t j = 0; j + kVectorValues <= size; j += kVectorValues) {
      const __m512 base = load_ahead_512<kStorage>(operands[0].data, begin + j);
      const auto delta = [&](size_t i) ASSAY_TARGET_512 {
        return _mm512_sub_ps(load_ahead_512<kStorage>(operands[i].data, begin + j), base);
      };
      (bins.take(delta(kPlaces + 1)), ...);
    }
    (bins.end(), ...);
  };
  take(Bins512(hits[kPlaces])...);
}

/// Calls `body` with the places of so many experts, at most kFewTerms.
template <typename Body>
void with_places(int count, const Body& body) {
  switch (count) {
    case 1:
      return body(std::make_index_sequence<1>{});
    case 2:
      return body(std::make_index_sequence<2>{});
    case 3:
      return body(std::make_index_sequence<3>{});
    default:
      return body(std::make_index_sequence<kFewTerms>{});
  }
}
#endif

#ifdef ASSAY_KEY_VECTORS
/// Magnitudes that may lie in a range, in two halves of their bits.
struct Waiting {
  uint16_t upper[kRun + kVectorKeys], lower[kRun + kVectorKeys];
};

/// The same of deltas of bfloat16, 32 at a time: upper halves tell of most that they lie outside.
class HalfBins {
 public:
  ASSAY_KEY_TARGET HalfBins(RangeHits& hits, Waiting& waiting)
      : hits_(hits),
        waiting_(waiting),
        low_(all_lanes(static_cast<uint16_t>(hits.range.low >> 16))),
        most_(all_lanes(static_cast<uint16_t>(most(hits.range)))) {}
  /// How many upper halves the range takes, less one.
  static uint32_t most(MagnitudeRange range) {
    return ((range.low + range.span - 1) >> 16) - (range.low >> 16);
  }
  ASSAY_KEY_TARGET void take(Pairs512 deltas) {
    const auto [halves, lower] = halves_512(deltas);
    const __m512i upper = _mm512_and_si512(halves, all_lanes(0x7fff));
    const __mmask32 near = _mm512_cmple_epu16_mask(_mm512_sub_epi16(upper, low_), most_);
    below_ += _mm_popcnt_u32(_mm512_cmplt_epu16_mask(upper, low_));
    const __m512i uppers = _mm512_maskz_compress_epi16(near, upper);
    const __m512i lowers = _mm512_maskz_compress_epi16(near, lower);
    const int found = _mm_popcnt_u32(near);
    if (found <= 8) {  // nearly always; less to write
      _mm_storeu_si128(reinterpret_cast<__m128i*>(waiting_.upper + count_),
                       _mm512_castsi512_si128(uppers));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(waiting_.lower + count_),
                       _mm512_castsi512_si128(lowers));
    } else {
      _mm512_storeu_si512(waiting_.upper + count_, uppers);
      _mm512_storeu_si512(waiting_.lower + count_, lowers);
    }
    count_ += found;
  }
  ASSAY_KEY_TARGET void end() {
    hits_.below += below_;
    count_uppers();
    Bins512 bins(hits_);
    for (int64_t j = 0; j < count_; j += kVectorValues) {
      const auto wide = [&](const uint16_t* halves) ASSAY_KEY_TARGET {
        return _mm512_cvtepu16_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves + j)));
      };
      const __m512i bits =
          _mm512_or_si512(_mm512_slli_epi32(wide(waiting_.upper), 16), wide(waiting_.lower));
      const int64_t some = std::min(count_ - j, kVectorValues);
      bins.take_bits(bits, static_cast<__mmask16>((1U << some) - 1));
    }
    bins.end();
  }

 private:
  /// Counts those that wait and have no lower half, which may be many; the others go on waiting.
  ASSAY_KEY_TARGET void count_uppers() {
    const uint32_t uppers = most(hits_.range) + 1;
    int64_t others = 0;
    for (int64_t j = 0; j < count_; j += int64_t{kVectorKeys}) {
      const __m512i upper = _mm512_loadu_si512(waiting_.upper + j);
      const __m512i lower = _mm512_loadu_si512(waiting_.lower + j);
      const __mmask32 some =
          _bzhi_u32(~0U, static_cast<uint32_t>(std::min<int64_t>(count_ - j, kVectorKeys)));
      const __mmask32 whole = _mm512_mask_testn_epi16_mask(some, lower, lower);
      for (uint32_t i = 0; i < uppers; ++i) {
        const __m512i one = _mm512_add_epi16(low_, all_lanes(static_cast<uint16_t>(i)));
        hits_.uppers[i] += _mm_popcnt_u32(_mm512_mask_cmpeq_epi16_mask(whole, upper, one));
      }
      const __mmask32 rest = some & ~whole;
      _mm512_storeu_si512(waiting_.upper + others, _mm512_maskz_compress_epi16(rest, upper));
      _mm512_storeu_si512(waiting_.lower + others, _mm512_maskz_compress_epi16(rest, lower));
      others += _mm_popcnt_u32(rest);
    }
    count_ = others;
  }

  RangeHits& hits_;
  Waiting& waiting_;
  __m512i low_, most_;
  int64_t count_ = 0, below_ = 0;
};

/// As delta_bins_512().
template <size_t... kPlaces>
ASSAY_KEY_TARGET void delta_bins_in_halves(const Operand* operands, int64_t begin, int64_t size,
                                           RangeHits* hits, std::index_sequence<kPlaces...>) {
  Waiting waiting[sizeof...(kPlaces)];
  const auto load = [&](size_t i, int64_t j)
                        ASSAY_KEY_TARGET { return widened_ahead_512(operands[i].data, begin + j); };
  const auto take = [&](auto... bins) ASSAY_KEY_TARGET {
    for (int64_t j = 0; j < size; j += int64_t{kVectorKeys}) {
      const Pairs512 base = load(0, j);
      const auto delta = [&](size_t i) ASSAY_KEY_TARGET {
        const Pairs512 expert = load(i, j);
        return Pairs512{_mm512_sub_ps(expert.even, base.even), _mm512_sub_ps(expert.odd, base.odd)};
      };
      (bins.take(delta(kPlaces + 1)), ...);
    }
    (bins.end(), ...);
  };
  take(HalfBins(hits[kPlaces], waiting[kPlaces])...);
}

/// Whether ranges are narrow enough for that.
bool fits_halves(const RangeHits* hits, int count, int64_t size) {
  bool fits = has_key_vectors() && size % int64_t{kVectorKeys} == 0;
  for (int i = 0; i < count; ++i) fits &= HalfBins::most(hits[i].range) < RangeHits::kUppers;
  return fits;
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
  const DType storage = operands[0].storage;
  bool fits = has_vectors_512() && count >= 1 && count <= kFewTerms &&
              (storage == DType::kFloat32 || storage == DType::kBFloat16);
  for (int i = 0; i <= count; ++i) fits &= operands[i].storage == storage;
  if (fits) {
#ifdef ASSAY_KEY_VECTORS
    if (storage == DType::kBFloat16 && fits_halves(hits, count, size))
      return with_places(
          count, [&](auto places) { delta_bins_in_halves(operands, begin, size, hits, places); });
#endif
    with_places(count, [&](auto places) {
      if (storage == DType::kFloat32)
        delta_bins_512<DType::kFloat32>(operands, begin, size, hits, places);
      else
        delta_bins_512<DType::kBFloat16>(operands, begin, size, hits, places);
    });
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
