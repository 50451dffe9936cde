#include "harness/kernels/task_vector/avx512/agreeing.h"
#include "harness/kernels/task_vector/avx512/key_vectors.h"
#include "harness/kernels/task_vector/loops_delta.h"

namespace assay {
namespace {

#ifdef ASSAY_KEY_VECTORS

constexpr int64_t kHalves = 2 * kVectorValues;
constexpr uint16_t kHalfMagnitude = 0x7fff, kHalfInfinity = 0x7f80, kHalfNan = 0x7fc0;

ASSAY_KEY_TARGET inline __m512i delta_of(const void* expert, int64_t index, Pairs512 base) {
  const Pairs512 values = widened_ahead_512(expert, index);
  return narrowed_brief_512(
      {_mm512_sub_ps(values.even, base.even), _mm512_sub_ps(values.odd, base.odd)});
}

ASSAY_KEY_TARGET void delta_halves_512(const void* base, const void* expert, int64_t begin,
                                       int64_t size, uint16_t* out) {
  for (int64_t j = 0; j < size; j += kHalves) {
    const __m512i delta = delta_of(expert, begin + j, widened_ahead_512(base, begin + j));
    const __m512i magnitude = _mm512_and_si512(delta, all_lanes(kHalfMagnitude));
    const __mmask32 nan = _mm512_cmpgt_epu16_mask(magnitude, all_lanes(kHalfInfinity));
    _mm512_storeu_si512(out + j, _mm512_mask_mov_epi16(magnitude, nan, all_lanes(kHalfNan)));
  }
}

/// Trimmed deltas of the experts, in bfloat16.
template <int kCount>
class TrimmedHalves {
 public:
  ASSAY_KEY_TARGET TrimmedHalves(const TermLoop& loop, int64_t index)
      : base_(loop.operands[0].data), begin_(loop.begin) {
    static constexpr uint64_t kNoTies[kRun / 64] = {};
    for (int i = 0; i < kCount; ++i) {
      const DeltaTerm& term = loop.terms[i];
      experts_[i] = loop.operands[i + 1].data;
      // As in Terms512; magnitudes have no lower halves.
      const bool keeps_ties = !term.keep_mask && term.tie_end > index;
      const uint32_t below = term.threshold == 0 ? 0 : term.threshold - (keeps_ties ? 1 : 0);
      below_[i] = all_lanes(static_cast<uint16_t>(below >> 16));
      const bool ties = term.keep_mask && below != 0 && (below & 0xffffU) == 0;
      ties_[i] = reinterpret_cast<const char*>(ties ? term.keep_mask + index / 64 : kNoTies);
    }
  }
  /// Values of elements from number `j` of the run on; returns which are kept, of each expert.
  ASSAY_KEY_TARGET void load(int64_t j, __m512i* values, __mmask32* kept) const {
    const Pairs512 base = widened_ahead_512(base_, begin_ + j);
    for (int i = 0; i < kCount; ++i) {
      const __m512i delta = delta_of(experts_[i], begin_ + j, base);
      const __m512i magnitude = _mm512_and_si512(delta, all_lanes(kHalfMagnitude));
      uint32_t ties;
      memcpy(&ties, ties_[i] + j / 8, sizeof ties);
      // A tie that is kept counts as if it were above.
      kept[i] = _mm512_cmpgt_epu16_mask(
          _mm512_mask_add_epi16(magnitude, ties, magnitude, all_lanes(1)), below_[i]);
      values[i] = _mm512_maskz_mov_epi16(kept[i], delta);
    }
  }

 private:
  const void* base_;
  const void* experts_[kCount];
  int64_t begin_;
  __m512i below_[kCount];
  const char* ties_[kCount];
};

/// Elements of which more than one expert keeps something wait for the election; a value that is
/// alone is its own mean.
template <int kCount>
ASSAY_KEY_TARGET void mean_halves(const TermLoop& loop, int64_t index, float tie_sign, float* out) {
  const TrimmedHalves<kCount> trimmed(loop, index);
  alignas(64) uint16_t reduced[kRun], waiting[kCount][kRun];
  uint32_t votes_in[kRun / kHalves];
  int64_t count = 0;
  for (int64_t j = 0; j < loop.size; j += kHalves) {
    __m512i values[kCount];
    __mmask32 kept[kCount];
    trimmed.load(j, values, kept);
    __m512i any = _mm512_setzero_si512();
    uint32_t one = 0, several = 0;
    for (int i = 0; i < kCount; ++i) {
      any = _mm512_or_si512(any, values[i]);
      several |= one & kept[i];
      one |= kept[i];
    }
    // A NaN agrees with nothing, which the election finds out.
    several |= _mm512_cmpgt_epu16_mask(_mm512_and_si512(any, all_lanes(kHalfMagnitude)),
                                       all_lanes(kHalfInfinity));
    _mm512_store_si512(reduced + j, any);
    for (int i = 0; i < kCount; ++i)
      _mm512_storeu_si512(waiting[i] + count, _mm512_maskz_compress_epi16(several, values[i]));
    votes_in[j / kHalves] = several;
    count += _mm_popcnt_u32(several);
  }
  const __m512 sign_of_ties = _mm512_set1_ps(tie_sign);
  for (int64_t j = 0; j < count; j += kVectorValues) {
    __m512 values[kCount];
    for (int i = 0; i < kCount; ++i) values[i] = load_512<DType::kBFloat16>(waiting[i], j);
    __m512 votes = values[0];
    for (int i = 1; i < kCount; ++i) votes = _mm512_add_ps(votes, values[i]);
    const __m512i mean =
        _mm512_castps_si512(agreeing_mean_512<kCount, true>(values, votes, sign_of_ties));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(waiting[0] + j),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(mean, 16)));
  }
  count = 0;
  for (int64_t j = 0; j < loop.size; j += kHalves) {
    const uint32_t several = votes_in[j / kHalves];
    const __m512i all = _mm512_mask_expand_epi16(_mm512_load_si512(reduced + j), several,
                                                 _mm512_loadu_si512(waiting[0] + count));
    count += _mm_popcnt_u32(several);
    _mm512_store_si512(reduced + j, all);
  }
  for (int64_t j = 0; j < loop.size; j += kVectorValues)
    _mm512_storeu_ps(out + j, load_512<DType::kBFloat16>(reduced, j));
}
#endif

ASSAY_VECTORISED
void delta_halves_plain(const void* base, const void* expert, int64_t begin, int64_t size,
                        uint16_t* __restrict out) {
  for (int64_t j = 0; j < size; ++j) {
    const float start = load_as<DType::kBFloat16>(base, begin + j);
    const float changed = load_as<DType::kBFloat16>(expert, begin + j);
    const float delta = plain_delta(changed, start, DType::kBFloat16);
    out[j] = static_cast<uint16_t>(magnitude_bits(delta) >> 16);
  }
}

}  // namespace

void delta_halves(const void* base, const void* expert, int64_t begin, int64_t size,
                  uint16_t* out) {
#ifdef ASSAY_KEY_VECTORS
  if (has_key_vectors() && size % kHalves == 0)
    return delta_halves_512(base, expert, begin, size, out);
#endif
  delta_halves_plain(base, expert, begin, size, out);
}

bool mean_in_halves([[maybe_unused]] const TermLoop& loop, [[maybe_unused]] int64_t index,
                    [[maybe_unused]] float tie_sign, [[maybe_unused]] float* out) {
#ifdef ASSAY_KEY_VECTORS
  const bool brief =
      loop.operands[0].storage == DType::kBFloat16 && loop.terms[0].rounding == DType::kBFloat16;
  if (!brief || !has_key_vectors() || loop.size % kHalves != 0) return false;
  switch (loop.count) {
    case 1:
      mean_halves<1>(loop, index, tie_sign, out);
      break;
    case 2:
      mean_halves<2>(loop, index, tie_sign, out);
      break;
    case 3:
      mean_halves<3>(loop, index, tie_sign, out);
      break;
    default:
      mean_halves<kFewTerms>(loop, index, tie_sign, out);
  }
  return true;
#else
  return false;
#endif
}

}  // namespace assay
