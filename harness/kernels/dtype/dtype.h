/// What all per-element functions share: the storage dtypes, and values read from and written to
/// them. Compiles as plain C++17 and as CUDA, and knows nothing of LibTorch.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/conversions.h"

namespace assay {

enum class DType : int32_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kFloat8E4M3,  ///< e4m3fn: no infinities, NaN is all ones, at most 448
  kFloat8E5M2,
};

/// Bytes of one value.
ASSAY_ELEMENT int64_t dtype_bytes(DType storage) {
  switch (storage) {
    case DType::kFloat64:
      return 8;
    case DType::kFloat32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kFloat8E4M3:
    case DType::kFloat8E5M2:
      return 1;
  }
  return 0;
}

/// magnitude_bits() of the dtype's largest finite value: no number up to it rounds to infinity.
ASSAY_ELEMENT uint32_t largest_finite(DType storage) {
  switch (storage) {
    case DType::kFloat64:
    case DType::kFloat32:
      return 0x7f7fffffu;
    case DType::kFloat16:
      return 0x477fe000u;  // 65504
    case DType::kBFloat16:
      return 0x7f7f0000u;
    case DType::kFloat8E4M3:
      return 0x43e00000u;  // 448
    case DType::kFloat8E5M2:
      return 0x47600000u;  // 57344
  }
  return 0;
}

/// Contiguous values in their storage dtype, on the host or the device.
struct Operand {
  const void* data;
  DType storage;
};

/// The float32 nearest to `value` among those that the dtype holds.
ASSAY_ELEMENT float round_to(float value, DType storage) {
  switch (storage) {
    case DType::kFloat32:
    case DType::kFloat64:
      return value;
    case DType::kFloat16:
      return half_to_float(float_to_half(value));
    case DType::kBFloat16:
      return round_to_bfloat16(value);
    case DType::kFloat8E4M3:
      return float8_e4m3_to_float(float_to_float8_e4m3(value));
    case DType::kFloat8E5M2:
      return float8_e5m2_to_float(float_to_float8_e5m2(value));
  }
  return value;
}

/// Value `index` of an array of the dtype, in float32.
template <DType kStorage>
ASSAY_ELEMENT float load_as(const void* data, int64_t index) {
  if constexpr (kStorage == DType::kFloat32) return static_cast<const float*>(data)[index];
  if constexpr (kStorage == DType::kFloat64)
    return static_cast<float>(static_cast<const double*>(data)[index]);
  if constexpr (kStorage == DType::kFloat16)
    return half_to_float(static_cast<const uint16_t*>(data)[index]);
  if constexpr (kStorage == DType::kBFloat16)
    return bfloat16_to_float(static_cast<const uint16_t*>(data)[index]);
  if constexpr (kStorage == DType::kFloat8E4M3)
    return float8_e4m3_to_float(static_cast<const uint8_t*>(data)[index]);
  if constexpr (kStorage == DType::kFloat8E5M2)
    return float8_e5m2_to_float(static_cast<const uint8_t*>(data)[index]);
}

/// Writes value `index` of an array of the dtype, rounded once.
template <DType kStorage>
ASSAY_ELEMENT void store_as(void* data, int64_t index, float value) {
  if constexpr (kStorage == DType::kFloat32) static_cast<float*>(data)[index] = value;
  if constexpr (kStorage == DType::kFloat64)
    static_cast<double*>(data)[index] = static_cast<double>(value);
  if constexpr (kStorage == DType::kFloat16)
    static_cast<uint16_t*>(data)[index] = float_to_half(value);
  if constexpr (kStorage == DType::kBFloat16)
    static_cast<uint16_t*>(data)[index] = float_to_bfloat16(value);
  if constexpr (kStorage == DType::kFloat8E4M3)
    static_cast<uint8_t*>(data)[index] = float_to_float8_e4m3(value);
  if constexpr (kStorage == DType::kFloat8E5M2)
    static_cast<uint8_t*>(data)[index] = float_to_float8_e5m2(value);
}

/// A dtype as a type, so that a loop can be compiled for it.
template <DType kStorage>
struct StorageTag {
  static constexpr DType kValue = kStorage;
};

/// Calls `body` with the StorageTag of the dtype.
template <typename Body>
ASSAY_ELEMENT void with_storage(DType storage, const Body& body) {
  switch (storage) {
    case DType::kFloat32:
      return body(StorageTag<DType::kFloat32>{});
    case DType::kFloat64:
      return body(StorageTag<DType::kFloat64>{});
    case DType::kFloat16:
      return body(StorageTag<DType::kFloat16>{});
    case DType::kBFloat16:
      return body(StorageTag<DType::kBFloat16>{});
    case DType::kFloat8E4M3:
      return body(StorageTag<DType::kFloat8E4M3>{});
    case DType::kFloat8E5M2:
      return body(StorageTag<DType::kFloat8E5M2>{});
  }
}

ASSAY_ELEMENT float load(const Operand& operand, int64_t index) {
  float value = 0.0f;
  with_storage(operand.storage,
               [&](auto tag) { value = load_as<decltype(tag)::kValue>(operand.data, index); });
  return value;
}

ASSAY_ELEMENT void store(void* data, DType storage, int64_t index, float value) {
  with_storage(storage, [&](auto tag) { store_as<decltype(tag)::kValue>(data, index, value); });
}

}  // namespace assay
