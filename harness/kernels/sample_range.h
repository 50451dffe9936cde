/// Where one of many magnitudes is expected, from a sample of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace assay {

/// Two of the sample, far enough from the expected place on either side that what is looked for is
/// next to never elsewhere: the one at a place, from 1 on in rising order, among `count`. Where the
/// sample ends before that, the least or the greatest that there is. Reorders the sample.
template <typename Key>
struct SampleRange {
  Key low = 0, high = static_cast<Key>(~Key{0});  ///< both within the range
  Key likely = 0;                                 ///< what stands at the expected place

  SampleRange() = default;
  SampleRange(std::vector<Key>& sample, int64_t place, int64_t count) {
    constexpr double kDeviations = 4;  // as if neighbours were independent, which they nearly are
    constexpr double kMore = 32;
    const auto size = static_cast<double>(sample.size());
    const double share = static_cast<double>(place) / static_cast<double>(count);
    const double spread = kDeviations * std::sqrt(size * share * (1 - share)) + kMore;
    const double expected = share * size;
    auto rest = sample.begin();  // what is before it is not greater than what follows
    const auto value_at = [&](double where) {
      const auto at = sample.begin() + static_cast<int64_t>(where);
      std::nth_element(rest, at, sample.end());
      rest = at;
      return *at;
    };
    if (expected > spread) low = value_at(expected - spread);
    if (expected < size) likely = value_at(expected);
    if (expected + spread < size) high = value_at(expected + spread);
  }
};

}  // namespace assay
