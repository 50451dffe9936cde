#include "harness/checkpoint/internal/gguf_blocks.h"

#include <c10/util/Half.h>

#include <cstring>

#include "harness/core/error.h"

namespace assay {
namespace {

float half(const uint8_t* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return c10::detail::fp16_ieee_to_fp32_value(bits);
}

/// Bit `i` of four bytes.
int bit(const uint8_t* bytes, int i) { return bytes[i / 8] >> (i % 8) & 1; }

// Blocks of 32: value i is the low half of byte i, value i + 16 the high half.
constexpr int kHalf = 16;

template <typename Value>
void each_nibble(const uint8_t* bytes, const Value& value) {
  for (int i = 0; i < kHalf; ++i) {
    value(i, bytes[i] & 15);
    value(i + kHalf, bytes[i] >> 4);
  }
}

void read_q4_0(const uint8_t* block, float* out) {
  const float scale = half(block);
  each_nibble(block + 2, [&](int i, int q) { out[i] = scale * static_cast<float>(q - 8); });
}

void read_q4_1(const uint8_t* block, float* out) {
  const float scale = half(block), minimum = half(block + 2);
  each_nibble(block + 4, [&](int i, int q) { out[i] = scale * static_cast<float>(q) + minimum; });
}

void read_q5_0(const uint8_t* block, float* out) {
  const float scale = half(block);
  const uint8_t* high = block + 2;
  each_nibble(block + 6, [&](int i, int q) {
    out[i] = scale * static_cast<float>((q | bit(high, i) << 4) - 16);
  });
}

void read_q5_1(const uint8_t* block, float* out) {
  const float scale = half(block), minimum = half(block + 2);
  const uint8_t* high = block + 4;
  each_nibble(block + 8, [&](int i, int q) {
    out[i] = scale * static_cast<float>(q | bit(high, i) << 4) + minimum;
  });
}

void read_q8_0(const uint8_t* block, float* out) {
  const float scale = half(block);
  for (int i = 0; i < 32; ++i)
    out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

// K-quants: 256 values in groups of 16 or 32, each with a scale (and a minimum) of few bits.

void read_q2_k(const uint8_t* block, float* out) {
  const uint8_t *scales = block, *values = block + 16;
  const float scale = half(block + 80), minimum = half(block + 82);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 16, within = i % 128;
    const int q = values[i / 128 * 32 + within % 32] >> (within / 32 * 2) & 3;
    out[i] = scale * static_cast<float>(scales[group] & 15) * static_cast<float>(q) -
             minimum * static_cast<float>(scales[group] >> 4);
  }
}

void read_q3_k(const uint8_t* block, float* out) {
  const uint8_t *high = block, *values = block + 32, *scales = block + 96;
  const float scale = half(block + 108);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 16, within = i % 128;
    const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int group_scale = (low | (scales[8 + group % 4] >> (group / 4 * 2) & 3) << 4) - 32;
    const int q = (values[i / 128 * 32 + within % 32] >> (within / 32 * 2) & 3) -
                  ((high[i % 32] >> (i / 32) & 1) ? 0 : 4);
    out[i] = scale * static_cast<float>(group_scale) * static_cast<float>(q);
  }
}

struct GroupScale {
  int scale, minimum;
};
/// Of group i of the 8 whose 6-bit scales and minima share 12 bytes (Q4_K, Q5_K).
GroupScale group_scale(const uint8_t* scales, int i) {
  if (i < 4) return {scales[i] & 63, scales[i + 4] & 63};
  return {(scales[i + 4] & 15) | scales[i - 4] >> 6 << 4, scales[i + 4] >> 4 | scales[i] >> 6 << 4};
}

/// `high`: 32 bytes with the fifth bits, bit g of byte i that of value i of group g; or null.
void read_q4_or_5_k(const uint8_t* block, const uint8_t* high, const uint8_t* values, float* out) {
  const float scale = half(block), minimum = half(block + 2);
  for (int group = 0; group < 8; ++group) {
    const GroupScale own = group_scale(block + 4, group);
    const float factor = scale * static_cast<float>(own.scale);
    const float offset = minimum * static_cast<float>(own.minimum);
    for (int i = 0; i < 32; ++i) {
      int q = values[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
      if (high) q |= (high[i] >> group & 1) << 4;
      out[group * 32 + i] = factor * static_cast<float>(q) - offset;
    }
  }
}

void read_q6_k(const uint8_t* block, float* out) {
  const uint8_t *low = block, *high = block + 128, *scales = block + 192;
  const float scale = half(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int side = i / 128, quarter = i % 128 / 32, at = i % 32;
    const int nibble = low[side * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
    const int q = (nibble | (high[side * 32 + at] >> (quarter * 2) & 3) << 4) - 32;
    const auto group_scale = static_cast<int8_t>(scales[i / 16]);
    out[i] = scale * static_cast<float>(group_scale) * static_cast<float>(q);
  }
}

}  // namespace

void read_block(GgufType type, const uint8_t* block, float* out) {
  switch (type) {
    case GgufType::kQ4_0:
      return read_q4_0(block, out);
    case GgufType::kQ4_1:
      return read_q4_1(block, out);
    case GgufType::kQ5_0:
      return read_q5_0(block, out);
    case GgufType::kQ5_1:
      return read_q5_1(block, out);
    case GgufType::kQ8_0:
      return read_q8_0(block, out);
    case GgufType::kQ2_K:
      return read_q2_k(block, out);
    case GgufType::kQ3_K:
      return read_q3_k(block, out);
    case GgufType::kQ4_K:
      return read_q4_or_5_k(block, nullptr, block + 16, out);
    case GgufType::kQ5_K:
      return read_q4_or_5_k(block, block + 16, block + 48, out);
    case GgufType::kQ6_K:
      return read_q6_k(block, out);
    case GgufType::kF32:
    case GgufType::kF16:
    case GgufType::kBF16:
      break;
  }
  ASSAY_CHECK(false, "type {} has no blocks", static_cast<uint32_t>(type));
}

}  // namespace assay
