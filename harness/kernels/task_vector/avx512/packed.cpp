#include <cstring>

#include "harness/kernels/task_vector/avx512/vectors.h"
#include "harness/kernels/task_vector/loops_delta.h"

namespace assay {
namespace {

#ifdef ASSAY_VECTORS_512
ASSAY_TARGET_512 int64_t pack_512(const float* values, int64_t size, float* packed,
                                  uint32_t* present) {
  auto* masks = reinterpret_cast<char*>(present);
  int64_t count = 0;
  for (int64_t j = 0; j < size; j += kVectorValues) {
    const __m512i bits = _mm512_loadu_si512(values + j);
    const __mmask16 mask = _mm512_test_epi32_mask(bits, bits);
    _mm512_storeu_si512(packed + count, _mm512_maskz_compress_epi32(mask, bits));
    memcpy(masks + j / 8, &mask, sizeof mask);
    count += _mm_popcnt_u32(mask);
  }
  return count;
}

ASSAY_TARGET_512 int64_t unpack_512(const float* packed, const uint32_t* present, int64_t size,
                                    float* values) {
  const auto* masks = reinterpret_cast<const char*>(present);
  int64_t count = 0;
  for (int64_t j = 0; j < size; j += kVectorValues) {
    __mmask16 mask;
    memcpy(&mask, masks + j / 8, sizeof mask);
    _mm512_storeu_ps(values + j, _mm512_maskz_expand_ps(mask, _mm512_loadu_ps(packed + count)));
    count += _mm_popcnt_u32(mask);
  }
  return count;
}
#endif

}  // namespace

int64_t pack_run(const float* values, int64_t size, float* packed, uint32_t* present) {
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512() && size % kMaskBits == 0) return pack_512(values, size, packed, present);
#endif
  int64_t count = 0;
  for (int64_t j = 0; j < size; ++j) {
    if (j % kMaskBits == 0) present[j / kMaskBits] = 0;
    if (float_to_bits(values[j]) == 0) continue;
    present[j / kMaskBits] |= 1U << j % kMaskBits;
    packed[count++] = values[j];
  }
  return count;
}

int64_t unpack_run(const float* packed, const uint32_t* present, int64_t size, float* values) {
#ifdef ASSAY_VECTORS_512
  if (has_vectors_512() && size % kMaskBits == 0) return unpack_512(packed, present, size, values);
#endif
  int64_t count = 0;
  for (int64_t j = 0; j < size; ++j)
    values[j] = (present[j / kMaskBits] >> j % kMaskBits & 1U) != 0 ? packed[count++] : 0;
  return count;
}

}  // namespace assay
