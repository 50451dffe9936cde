#include "harness/kernels/loops.h"

#include <algorithm>
#include <cmath>

#include "harness/kernels/isa.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace assay {

// Bodies handed to with_storage() and the like are compiled for the instruction set of the function
// they stand in only when they are inlined.
#define ASSAY_INLINED __attribute__((always_inline))

ASSAY_VECTORISED
void load_run(const Operand& from, int64_t begin, int64_t size, float* __restrict out) {
  with_storage(from.storage, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j)
      out[j] = load_as<decltype(tag)::kValue>(from.data, begin + j);
  });
}

void prefetch_run(const Operand& from, int64_t begin, int64_t size) {
  constexpr int64_t kCacheLine = 64;
  const int64_t width = dtype_bytes(from.storage);
  const char* first = static_cast<const char*>(from.data) + begin * width;
  for (int64_t at = 0; at < size * width; at += kCacheLine) __builtin_prefetch(first + at);
}

ASSAY_VECTORISED
void store_run(const float* __restrict values, int64_t begin, int64_t size, void* __restrict to,
               DType storage) {
  with_storage(storage, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) store_as<decltype(tag)::kValue>(to, begin + j, values[j]);
  });
}

void copy_past_caches(const void* from, int64_t bytes, void* to) {
  const auto* source = static_cast<const char*>(from);
  auto* target = static_cast<char*>(to);
  int64_t at = 0;
#ifdef __SSE2__
  constexpr int64_t kVector = sizeof(__m128i);
  if (reinterpret_cast<uintptr_t>(to) % kVector == 0) {
    for (; at + kVector <= bytes; at += kVector)
      _mm_stream_si128(reinterpret_cast<__m128i*>(target + at),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at)));
  }
#endif
  std::copy(source + at, source + bytes, target + at);
}

void end_past_caches() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

ASSAY_VECTORISED
void round_run(float* values, int64_t size, DType storage) {
  if (storage == DType::kFloat32) return;
  with_storage(storage, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j) values[j] = round_to(values[j], decltype(tag)::kValue);
  });
}

ASSAY_VECTORISED
void weighted_sum_run(const float* const* rows, int count, const float* weights, bool equal,
                      float divisor, DType rounding, int64_t size, float* __restrict out) {
  with_storage(rounding, [&](auto tag) ASSAY_INLINED {
    constexpr DType kRounding = decltype(tag)::kValue;
    for (int i = 0; i < count; ++i) {
      const float* __restrict row = rows[i];
      const float weight = weights[equal ? 0 : i];
      if (i == 0) {
        for (int64_t j = 0; j < size; ++j)
          out[j] = weighted_value(row[j], weight, equal, kRounding);
      } else {
        for (int64_t j = 0; j < size; ++j)
          out[j] += weighted_value(row[j], weight, equal, kRounding);
      }
    }
    if (!equal && divisor == 1.0f && kRounding == DType::kFloat32) return;
    for (int64_t j = 0; j < size; ++j)
      out[j] = weighted_result(out[j], weights[0], equal, divisor, kRounding);
  });
}

ASSAY_VECTORISED
void add_products(const float* __restrict a, const float* __restrict b, int64_t size,
                  double* __restrict lanes) {
  double sums[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) sums[lane] = lanes[lane];
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes)
    for (int lane = 0; lane < kLanes; ++lane)
      sums[lane] += product_element(a[j + lane], b[j + lane]);
  for (; j < size; ++j) sums[j % kLanes] += product_element(a[j], b[j]);
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = sums[lane];
}

ASSAY_VECTORISED
void add_magnitudes(const float* __restrict values, int64_t size, double* __restrict lanes) {
  double sums[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) sums[lane] = lanes[lane];
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes)
    for (int lane = 0; lane < kLanes; ++lane)
      sums[lane] += std::fabs(static_cast<double>(values[j + lane]));
  for (; j < size; ++j) sums[j % kLanes] += std::fabs(static_cast<double>(values[j]));
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = sums[lane];
}

namespace {

/// Whether no magnitude is above `largest`, of values whose top bit is the sign and whose other
/// bits, as integers, rise with the magnitude.
template <typename Word>
ASSAY_ELEMENT bool none_above(Word largest, const void* data, int64_t begin, int64_t size) {
  constexpr Word kMagnitude = static_cast<Word>(~Word{0}) >> 1;
  const Word* values = static_cast<const Word*>(data) + begin;
  Word top = 0;
  for (int64_t j = 0; j < size; ++j) top = std::max<Word>(top, values[j] & kMagnitude);
  return top <= largest;
}

/// Whether the run is seen to hold finite values only, in less time than it takes to count.
ASSAY_ELEMENT bool all_finite(const Operand& from, int64_t begin, int64_t size) {
  switch (from.storage) {
    case DType::kFloat32:
      return none_above<uint32_t>(0x7f7fffff, from.data, begin, size);
    case DType::kFloat16:
      return none_above<uint16_t>(0x7bff, from.data, begin, size);
    case DType::kBFloat16:
      return none_above<uint16_t>(0x7f7f, from.data, begin, size);
    case DType::kFloat8E4M3:
      return none_above<uint8_t>(0x7e, from.data, begin, size);
    case DType::kFloat8E5M2:
      return none_above<uint8_t>(0x7b, from.data, begin, size);
    case DType::kFloat64:
      return false;
  }
  return false;
}

}  // namespace

ASSAY_VECTORISED
int64_t nonfinite_run(const Operand& from, int64_t begin, int64_t size) {
  if (all_finite(from, begin, size)) return 0;
  uint32_t bad = 0;
  with_storage(from.storage, [&](auto tag) ASSAY_INLINED {
    for (int64_t j = 0; j < size; ++j)
      bad += is_finite(load_as<decltype(tag)::kValue>(from.data, begin + j)) ? 0 : 1;
  });
  return bad;
}

}  // namespace assay
