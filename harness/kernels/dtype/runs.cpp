#include "harness/kernels/dtype/runs.h"

#include <algorithm>

#include "harness/kernels/internal/isa.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace assay {

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

void copy_non_temporal(const void* from, int64_t bytes, void* to) {
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

void end_non_temporal() {
#ifdef __SSE2__
  _mm_sfence();
#endif
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
    default:
      return false;
  }
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
