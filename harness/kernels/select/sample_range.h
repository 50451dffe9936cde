/// Where one of many magnitudes is expected, from a sample of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace assay {

/// Two of the sample, far enough from the expected place on either side that what is looked for is
/// next to never elsewhere: the one at a place, from 1 on in rising order, among `count`. Where the
/// sample ends before that, the least or the greatest that there is. May reorder the sample.
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
    InOrder in_order(sample);
    const auto value_at = [&](double where) { return in_order.at(static_cast<size_t>(where)); };
    if (expected > spread) low = value_at(expected - spread);
    if (expected < size) likely = value_at(expected);
    if (expected + spread < size) high = value_at(expected + spread);
  }

 private:
  /// What stands at places of the sample in order. Places are asked for in rising order.
  class Selected {
   public:
    explicit Selected(std::vector<Key>& sample) : sample_(sample), rest_(sample.begin()) {}
    Key at(size_t place) {
      const auto found = sample_.begin() + static_cast<int64_t>(place);
      std::nth_element(rest_, found, sample_.end());
      rest_ = found;
      return *found;
    }

   private:
    std::vector<Key>& sample_;
    typename std::vector<Key>::iterator rest_;  ///< what is before is not greater than what follows
  };
  /// The same of few possible keys.
  class Counted {
   public:
    explicit Counted(const std::vector<Key>& sample) : counts_(size_t{1} << 8 * sizeof(Key)) {
      for (const Key key : sample) ++counts_[key];
    }
    Key at(size_t place) {
      while (below_ + counts_[key_] <= place) below_ += counts_[key_++];
      return static_cast<Key>(key_);
    }

   private:
    std::vector<uint32_t> counts_;
    size_t below_ = 0, key_ = 0;
  };
  using InOrder = std::conditional_t<sizeof(Key) == sizeof(uint16_t), Counted, Selected>;
};

}  // namespace assay
