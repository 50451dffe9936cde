/// Vectors of 16-bit keys, on machines that can pick lanes of such: AVX-512 with VBMI2.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define ASSAY_KEY_VECTORS
#define ASSAY_KEY_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,lzcnt,popcnt")))

namespace assay {

inline constexpr size_t kVectorKeys = 32;

/// Whether this machine can do that.
inline bool has_key_vectors() {
  static const bool has = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
  return has;
}

ASSAY_KEY_TARGET inline __m512i all_lanes(uint16_t key) {
  return _mm512_set1_epi16(static_cast<int16_t>(key));
}

}  // namespace assay
#endif
