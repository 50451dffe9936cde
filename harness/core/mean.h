/// The arithmetic mean.
#pragma once

#include <numeric>
#include <vector>

namespace assay {

/// Of one value or more, which are added in order, in double.
template <typename Value>
double mean(const std::vector<Value>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace assay
