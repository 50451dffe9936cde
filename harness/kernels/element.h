/// What all per-element functions share: the storage dtypes and exact bit-level conversions.
/// Compiles as plain C++17 and as CUDA, and knows nothing of LibTorch.
#pragma once

#include <cstdint>
#include <cstring>

#include "harness/core/philox.h"

namespace assay {

enum class Storage : int32_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kFloat8E4M3,  ///< e4m3fn: no infinities, NaN is all ones, at most 448
  kFloat8E5M2,
};

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

ASSAY_HOST_DEVICE inline float float8_e4m3_to_float(uint8_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x80u) << 24;
  const uint32_t magnitude = value & 0x7fu;
  if (magnitude == 0x7fu) return bits_to_float(sign | 0x7fc00000u);
  if (magnitude < 8) {  // zero and subnormals
    const float exact = static_cast<float>(magnitude) * 0.001953125f /* 2^-9 */;
    return bits_to_float(sign | float_to_bits(exact));
  }
  return bits_to_float(sign | ((magnitude << 20) + (120u << 23)));
}

/// The upper half of an IEEE half.
ASSAY_HOST_DEVICE inline float float8_e5m2_to_float(uint8_t value) {
  return half_to_float(static_cast<uint16_t>(value << 8));
}

/// What the conversions below share: a float's magnitude bits rounded to nearest even, as the bits
/// of a format of 5 or 4 exponent bits. `kShift` fraction bits are cut off, `kBias` is the
/// difference of the exponents' biases, and `kUnit` the float whose unit in the last place is the
/// format's smallest subnormal, so that adding it rounds subnormals.
template <uint32_t kShift, uint32_t kBias, uint32_t kUnit>
ASSAY_HOST_DEVICE inline uint32_t narrow_magnitude(uint32_t magnitude) {
  const uint32_t odd = (magnitude >> kShift) & 1u;
  const uint32_t rounded = magnitude + ((1u << (kShift - 1)) - 1u) + odd;
  const uint32_t normal = (rounded >> kShift) - (kBias << (23 - kShift));
  const uint32_t subnormal = float_to_bits(bits_to_float(magnitude) + bits_to_float(kUnit)) - kUnit;
  return magnitude < ((kBias + 1u) << 23) ? subnormal : normal;
}

/// Rounds to nearest even. Too large becomes infinite; NaN stays NaN.
ASSAY_HOST_DEVICE inline uint16_t float_to_half(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t half = narrow_magnitude<13, 112, 0x3f000000u>(magnitude);
  half = magnitude >= 0x47800000u /* 2^16 */ ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return static_cast<uint16_t>(((float_to_bits(value) >> 16) & 0x8000u) | half);
}

/// Rounds to nearest even. NaN stays NaN.
ASSAY_HOST_DEVICE inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = float_to_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

/// Rounds to nearest even. What rounds to more than 448 becomes NaN, as in LibTorch.
ASSAY_HOST_DEVICE inline uint8_t float_to_float8_e4m3(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t narrow = narrow_magnitude<20, 120, 0x46800000u>(magnitude);
  narrow = magnitude >= 0x43f00000u /* 480 */ ? 0x7fu : narrow;
  return static_cast<uint8_t>(((float_to_bits(value) >> 24) & 0x80u) | narrow);
}

/// Rounds to nearest even. Too large becomes infinite; NaN stays NaN.
ASSAY_HOST_DEVICE inline uint8_t float_to_float8_e5m2(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t narrow = narrow_magnitude<21, 112, 0x43000000u>(magnitude);
  narrow = magnitude >= 0x47800000u /* 2^16 */ ? 0x7cu : narrow;
  narrow = magnitude > 0x7f800000u ? 0x7fu : narrow;
  return static_cast<uint8_t>(((float_to_bits(value) >> 24) & 0x80u) | narrow);
}

/// The float32 nearest to `value` among those that the dtype holds.
ASSAY_HOST_DEVICE inline float round_to(float value, Storage storage) {
  switch (storage) {
    case Storage::kFloat32:
    case Storage::kFloat64:
      return value;
    case Storage::kFloat16:
      return half_to_float(float_to_half(value));
    case Storage::kBFloat16:
      return bfloat16_to_float(float_to_bfloat16(value));
    case Storage::kFloat8E4M3:
      return float8_e4m3_to_float(float_to_float8_e4m3(value));
    case Storage::kFloat8E5M2:
      return float8_e5m2_to_float(float_to_float8_e5m2(value));
  }
  return value;
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
    case Storage::kFloat8E4M3:
      return float8_e4m3_to_float(static_cast<const uint8_t*>(operand.data)[index]);
    case Storage::kFloat8E5M2:
      return float8_e5m2_to_float(static_cast<const uint8_t*>(operand.data)[index]);
  }
  return 0.0f;
}

/// Writes `value` as number `index` of an array in the given dtype, rounded once.
ASSAY_HOST_DEVICE inline void store(void* data, Storage storage, int64_t index, float value) {
  switch (storage) {
    case Storage::kFloat32:
      static_cast<float*>(data)[index] = value;
      return;
    case Storage::kFloat64:
      static_cast<double*>(data)[index] = static_cast<double>(value);
      return;
    case Storage::kFloat16:
      static_cast<uint16_t*>(data)[index] = float_to_half(value);
      return;
    case Storage::kBFloat16:
      static_cast<uint16_t*>(data)[index] = float_to_bfloat16(value);
      return;
    case Storage::kFloat8E4M3:
      static_cast<uint8_t*>(data)[index] = float_to_float8_e4m3(value);
      return;
    case Storage::kFloat8E5M2:
      static_cast<uint8_t*>(data)[index] = float_to_float8_e5m2(value);
      return;
  }
}

}  // namespace assay
