/// Host-side draws from Philox: a cursor over one key's stream. No std:: distributions, which
/// differ between standard libraries, and no global state.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/core/hash.h"
#include "harness/core/philox.h"

namespace assay {

/// The key of a stream: a hash of the seed and of the purpose of the numbers.
inline uint64_t stream_key(uint64_t seed, std::string_view purpose) {
  return Hasher().number(seed).text(purpose).low64();
}

class Rng {
 public:
  explicit Rng(uint64_t key) : key_(key) {}
  Rng(uint64_t seed, std::string_view purpose) : Rng(stream_key(seed, purpose)) {}

  uint32_t bits() { return philox_bits(key_, next_++); }
  /// Uniform in [0, 1).
  double uniform() {
    const uint64_t high = bits(), low = bits();
    return static_cast<double>(((high << 32) | low) >> 11) * 0x1.0p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, .., n-1}; the bias is below 2^-50 for any n that fits into memory.
  int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal, Box-Muller.
  double normal() {
    constexpr double kTwoPi = 6.283185307179586;
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(kTwoPi * uniform());
  }
  /// A permutation of {0, .., n-1}, Fisher-Yates.
  std::vector<int64_t> permutation(int64_t n) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t i = n - 1; i > 0; --i)
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(below(i + 1))]);
    return order;
  }

 private:
  uint64_t key_;
  uint64_t next_ = 0;
};

}  // namespace assay
