/// What all per-element functions share: the storage dtypes and exact bit-level conversions.
/// Compiles as plain C++17 and as CUDA, and knows nothing of LibTorch.
#pragma once

#include <cstdint>
#include <cstring>

#include "harness/core/philox.h"

namespace assay {

enum class Storage : int32_t { kFloat32, kFloat64, kFloat16, kBFloat16 };

/// Contiguous values in their storage dtype, on the host or the device.
struct Operand {
  const void* data;
  Storage storage;
};

ASSAY_HOST_DEVICE inline float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

ASSAY_HOST_DEVICE inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// The bit pattern of |value|. For all but NaN it orders as the magnitudes do, so that comparing
/// magnitudes is comparing integers.
ASSAY_HOST_DEVICE inline uint32_t magnitude_bits(float value) {
  return float_to_bits(value) & 0x7fffffffu;
}

/// -1, 0 or +1.
ASSAY_HOST_DEVICE inline int sign_of(float value) {
  if (magnitude_bits(value) == 0) return 0;
  return (float_to_bits(value) >> 31) != 0 ? -1 : 1;
}

ASSAY_HOST_DEVICE inline bool is_finite(float value) { return magnitude_bits(value) < 0x7f800000u; }

/// IEEE half precision, subnormals, infinities and NaN included.
ASSAY_HOST_DEVICE inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24 is exact
    const float magnitude = static_cast<float>(fraction) * 5.9604644775390625e-8f;
    return bits_to_float(sign | float_to_bits(magnitude));
  }
  const uint32_t wide = exponent == 0x1fu ? 0xffu : exponent + 112u;
  return bits_to_float(sign | (wide << 23) | (fraction << 13));
}

ASSAY_HOST_DEVICE inline float bfloat16_to_float(uint16_t value) {
  return bits_to_float(static_cast<uint32_t>(value) << 16);
}

/// Value `index` of the operand in float32.
ASSAY_HOST_DEVICE inline float load(const Operand& operand, int64_t index) {
  switch (operand.storage) {
    case Storage::kFloat32:
      return static_cast<const float*>(operand.data)[index];
    case Storage::kFloat64:
      return static_cast<float>(static_cast<const double*>(operand.data)[index]);
    case Storage::kFloat16:
      return half_to_float(static_cast<const uint16_t*>(operand.data)[index]);
    case Storage::kBFloat16:
      return bfloat16_to_float(static_cast<const uint16_t*>(operand.data)[index]);
  }
  return 0.0f;
}

}  // namespace assay
