/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
/// counter-based generator. The same function runs on CPU and CUDA, so a draw depends on its key
/// and counter alone: not on threads, device or the order of the elements.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define ASSAY_HOST_DEVICE __host__ __device__
#else
#define ASSAY_HOST_DEVICE
#endif
/// A function of one element. Always inlined, so that it is compiled for the instruction set of the
/// loop that calls it.
#define ASSAY_ELEMENT ASSAY_HOST_DEVICE inline __attribute__((always_inline))

namespace assay {

struct Philox4 {
  uint32_t v[4];
};

inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53, kPhiloxMultiplier1 = 0xCD9E8D57;

/// One round on the counter (c0, c1, c2, c3).
ASSAY_ELEMENT void philox_round(uint32_t& c0, uint32_t& c1, uint32_t& c2, uint32_t& c3, uint32_t k0,
                                uint32_t k1) {
  const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * c0;
  const uint64_t p1 = uint64_t{kPhiloxMultiplier1} * c2;
  c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
  c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
  c1 = static_cast<uint32_t>(p1);
  c3 = static_cast<uint32_t>(p0);
}

/// The key of the round after the one with key (k0, k1).
ASSAY_ELEMENT void philox_next_key(uint32_t& k0, uint32_t& k1) {
  k0 += 0x9E3779B9u;
  k1 += 0xBB67AE85u;
}

inline constexpr int kPhiloxRounds = 10;

ASSAY_HOST_DEVICE inline Philox4 philox4x32_10(uint64_t counter_low, uint64_t counter_high,
                                               uint64_t key) {
  uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    philox_round(c0, c1, c2, c3, k0, k1);
    philox_next_key(k0, k1);
  }
  return {{c0, c1, c2, c3}};
}

/// The 32 random bits of element `index` under `key`: word index % 4 of block index / 4.
ASSAY_HOST_DEVICE inline uint32_t philox_bits(uint64_t key, uint64_t index) {
  return philox4x32_10(index >> 2, 0, key).v[index & 3];
}

/// Random bits as a number in [0, 1), 24 bits, exact in float32.
ASSAY_ELEMENT float bits_to_uniform(uint32_t bits) {
  return static_cast<float>(bits >> 8) * (1.0f / 16777216.0f);
}

/// Uniform in [0, 1): the draw of element `index` under `key`.
ASSAY_HOST_DEVICE inline float philox_uniform(uint64_t key, uint64_t index) {
  return bits_to_uniform(philox_bits(key, index));
}

}  // namespace assay
