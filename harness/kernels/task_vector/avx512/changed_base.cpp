#include <algorithm>

#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/loops_delta.h"

namespace assay {
namespace {

#ifdef ASSAY_VECTORS_512

constexpr int64_t kValues = 2 * kVectorValues;  ///< of bfloat16 in a vector
constexpr uintptr_t kVectorBytes = 64;

/// changed_base() of bfloat16 in whole vectors, written past the caches to an aligned place with
/// kStream; returns as change_stored() does. A scale of 1 changes nothing, and the rounding after
/// it neither.
template <bool kScaled, bool kBrief, bool kStream>
ASSAY_TARGET_512 uint32_t change_512(const void* base, int64_t begin, const float* reduced,
                                     float scale, int64_t size, uint16_t* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  const __m512i upper_halves =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                       25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  __m512i largest = _mm512_setzero_si512();
  for (int64_t j = 0; j < size; j += kValues) {
    __m512i rounded[2];
    for (int half = 0; half < 2; ++half) {
      const int64_t at = j + half * kVectorValues;
      __m512 change = _mm512_loadu_ps(reduced + at);
      if (kScaled) change = _mm512_mul_ps(change, factor);
      if (kScaled && kBrief) change = round_to_bfloat16_512(change);
      const __m512 sum = _mm512_add_ps(load_512<DType::kBFloat16>(base, begin + at), change);
      rounded[half] = _mm512_castps_si512(round_to_bfloat16_512(sum));
    }
    const __m512i narrow = _mm512_permutex2var_epi16(rounded[0], upper_halves, rounded[1]);
    largest = _mm512_max_epu16(largest, _mm512_and_si512(narrow, magnitude));
    if (kStream)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(out + j), narrow);
    else
      _mm512_storeu_si512(out + j, narrow);
  }
  alignas(kVectorBytes) uint16_t lanes[kValues];
  _mm512_store_si512(lanes, largest);
  uint32_t found = 0;
  for (const uint16_t lane : lanes) found = std::max<uint32_t>(found, lane);
  return found << 16;
}
template <bool kStream>
uint32_t change_512(const void* base, int64_t begin, const float* reduced, float scale, bool brief,
                    int64_t size, uint16_t* out) {
  if (scale == 1.0F)
    return change_512<false, false, kStream>(base, begin, reduced, scale, size, out);
  if (brief) return change_512<true, true, kStream>(base, begin, reduced, scale, size, out);
  return change_512<true, false, kStream>(base, begin, reduced, scale, size, out);
}
#endif

}  // namespace

bool change_past_caches([[maybe_unused]] const Operand& base, [[maybe_unused]] int64_t begin,
                        [[maybe_unused]] const float* reduced, [[maybe_unused]] float scale,
                        [[maybe_unused]] DType rounding, [[maybe_unused]] int64_t size,
                        [[maybe_unused]] void* out, [[maybe_unused]] uint32_t& largest) {
#ifdef ASSAY_VECTORS_512
  const bool brief = rounding == DType::kBFloat16;
  if (!has_vectors_512() || base.storage != DType::kBFloat16 || size % kValues != 0 ||
      (!brief && rounding != DType::kFloat32))
    return false;
  if (reinterpret_cast<uintptr_t>(out) % kVectorBytes == 0) {
    largest = change_512<true>(base.data, begin, reduced, scale, brief, size,
                               static_cast<uint16_t*>(out));
  } else {
    alignas(kVectorBytes) uint16_t changed[kRun];
    largest = change_512<false>(base.data, begin, reduced, scale, brief, size, changed);
    copy_past_caches(changed, size * dtype_bytes(DType::kBFloat16), out);
  }
  return true;
#else
  return false;
#endif
}

}  // namespace assay
