#include <algorithm>

#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/vector_loops.h"

#ifdef ASSAY_VECTORS_512

namespace assay {
namespace {

// Earns the TIES and DARE rows of bench_merging: see harness/kernels/README.md.

/// changed_base() of 16 elements, rounded to bfloat16. A scale of 1 changes nothing, and the
/// rounding after it neither.
template <bool kScaled, bool kRounds>
ASSAY_TARGET_512 inline __m512i changed_512(const void* base, int64_t at, const float* reduced,
                                            __m512 scale) {
  __m512 change = _mm512_loadu_ps(reduced);
  if (kScaled) change = _mm512_mul_ps(change, scale);
  if (kScaled && kRounds) change = rounded_512(change);
  return _mm512_castps_si512(rounded_512(_mm512_add_ps(load_bf16_512(base, at), change)));
}

template <bool kScaled, bool kRounds, bool kStream>
ASSAY_TARGET_512 uint32_t change_512(const void* base, int64_t begin, const float* reduced,
                                     float scale, int64_t size, void* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512i upper16 =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                       25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  __m512i largest = _mm512_setzero_si512();
  for (int64_t j = 0; j < size; j += 2 * kVectorValues) {
    const __m512i values = _mm512_permutex2var_epi16(
        changed_512<kScaled, kRounds>(base, begin + j, reduced + j, factor), upper16,
        changed_512<kScaled, kRounds>(base, begin + j + kVectorValues, reduced + j + kVectorValues,
                                      factor));
    largest = _mm512_max_epu16(largest, _mm512_and_si512(values, _mm512_set1_epi16(0x7fff)));
    void* to = static_cast<uint16_t*>(out) + j;
    kStream ? _mm512_stream_si512(static_cast<__m512i*>(to), values)
            : _mm512_storeu_si512(to, values);
  }
  uint16_t lanes[2 * kVectorValues];
  _mm512_storeu_si512(lanes, largest);
  return static_cast<uint32_t>(*std::max_element(std::begin(lanes), std::end(lanes))) << 16;
}

template <bool kStream>
uint32_t change_512(const void* base, int64_t begin, const float* reduced, float scale, bool rounds,
                    int64_t size, void* out) {
  const auto change = scale == 1.0F ? change_512<false, false, kStream>
                      : rounds      ? change_512<true, true, kStream>
                                    : change_512<true, false, kStream>;
  return change(base, begin, reduced, scale, size, out);
}

}  // namespace

void add_vector_change(VectorLoops& loops) {
  loops.change = [](const void* base, int64_t begin, const float* reduced, float scale, bool rounds,
                    int64_t size, void* out) {
    constexpr size_t kAlignment = 64;
    const bool streams = reinterpret_cast<uintptr_t>(out) % kAlignment == 0;
    alignas(kAlignment) uint16_t changed[kRun];
    if (streams) return change_512<true>(base, begin, reduced, scale, rounds, size, out);
    const uint32_t largest = change_512<false>(base, begin, reduced, scale, rounds, size, changed);
    copy_non_temporal(changed, size * dtype_bytes(DType::kBFloat16), out);
    return largest;
  };
}

}  // namespace assay
#endif
