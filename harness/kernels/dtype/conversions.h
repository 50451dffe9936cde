/// Bit-level conversions between float32 and the narrow dtypes: exact one way, rounded once to
/// nearest even the other. Free of branches, so that loops over them vectorise.
#pragma once

#include <cstdint>
#include <cstring>

#include "harness/core/philox.h"

namespace assay {

ASSAY_ELEMENT float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

ASSAY_ELEMENT uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// The bit pattern of |value|. For all but NaN it orders as the magnitudes do, so that comparing
/// magnitudes is comparing integers.
ASSAY_ELEMENT uint32_t magnitude_bits(float value) { return float_to_bits(value) & 0x7fffffffu; }

ASSAY_ELEMENT bool is_finite(float value) { return magnitude_bits(value) < 0x7f800000u; }

/// IEEE half precision, subnormals, infinities and NaN included.
ASSAY_ELEMENT float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  // Zero and subnormals: fraction * 2^-24 is exact.
  const float small = static_cast<float>(static_cast<int32_t>(fraction)) * 5.9604644775390625e-8f;
  const uint32_t wide = exponent == 0x1fu ? 0xffu : exponent + 112u;
  const uint32_t normal = (wide << 23) | (fraction << 13);
  return bits_to_float(sign | (exponent == 0 ? float_to_bits(small) : normal));
}

ASSAY_ELEMENT float bfloat16_to_float(uint16_t value) {
  return bits_to_float(static_cast<uint32_t>(value) << 16);
}

ASSAY_ELEMENT float float8_e4m3_to_float(uint8_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x80u) << 24;
  const uint32_t magnitude = value & 0x7fu;
  // Zero and subnormals: fraction * 2^-9 is exact.
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0.001953125f;
  const uint32_t normal = magnitude == 0x7fu ? 0x7fc00000u : (magnitude << 20) + (120u << 23);
  return bits_to_float(sign | (magnitude < 8 ? float_to_bits(small) : normal));
}

/// The upper half of an IEEE half.
ASSAY_ELEMENT float float8_e5m2_to_float(uint8_t value) {
  return half_to_float(static_cast<uint16_t>(value << 8));
}

/// What the conversions below share: a float's magnitude bits rounded to nearest even, as the bits
/// of a format of 5 or 4 exponent bits. `kShift` fraction bits are cut off, `kBias` is the
/// difference of the exponents' biases, and `kUnit` the float whose unit in the last place is the
/// format's smallest subnormal, so that adding it rounds subnormals.
template <uint32_t kShift, uint32_t kBias, uint32_t kUnit>
ASSAY_ELEMENT uint32_t narrow_magnitude(uint32_t magnitude) {
  const uint32_t odd = (magnitude >> kShift) & 1u;
  const uint32_t rounded = magnitude + ((1u << (kShift - 1)) - 1u) + odd;
  const uint32_t normal = (rounded >> kShift) - (kBias << (23 - kShift));
  const uint32_t subnormal = float_to_bits(bits_to_float(magnitude) + bits_to_float(kUnit)) - kUnit;
  return magnitude < ((kBias + 1u) << 23) ? subnormal : normal;
}

/// Rounds to nearest even. Too large becomes infinite; NaN stays NaN.
ASSAY_ELEMENT uint16_t float_to_half(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t half = narrow_magnitude<13, 112, 0x3f000000u>(magnitude);
  half = magnitude >= 0x47800000u /* 2^16 */ ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return static_cast<uint16_t>(((float_to_bits(value) >> 16) & 0x8000u) | half);
}

/// The float32 nearest to `value` that has bfloat16's bits only; ties go to even. NaN stays NaN.
ASSAY_ELEMENT float round_to_bfloat16(float value) {
  const uint32_t bits = float_to_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  return bits_to_float((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : rounded);
}
ASSAY_ELEMENT uint16_t float_to_bfloat16(float value) {
  return static_cast<uint16_t>(float_to_bits(round_to_bfloat16(value)) >> 16);
}

/// Rounds to nearest even. What rounds to more than 448 becomes NaN, as in LibTorch.
ASSAY_ELEMENT uint8_t float_to_float8_e4m3(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t narrow = narrow_magnitude<20, 120, 0x46800000u>(magnitude);
  narrow = magnitude >= 0x43f00000u /* 480 */ ? 0x7fu : narrow;
  return static_cast<uint8_t>(((float_to_bits(value) >> 24) & 0x80u) | narrow);
}

/// Rounds to nearest even. Too large becomes infinite; NaN stays NaN.
ASSAY_ELEMENT uint8_t float_to_float8_e5m2(float value) {
  const uint32_t magnitude = magnitude_bits(value);
  uint32_t narrow = narrow_magnitude<21, 112, 0x43000000u>(magnitude);
  narrow = magnitude >= 0x47800000u /* 2^16 */ ? 0x7cu : narrow;
  narrow = magnitude > 0x7f800000u ? 0x7fu : narrow;
  return static_cast<uint8_t>(((float_to_bits(value) >> 24) & 0x80u) | narrow);
}

}  // namespace assay
