/// What statistics of routers share: sums over the tokens that count, by the router's weight.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "harness/calibration/statistic.h"

namespace assay {

struct RouterSums {
  at::Tensor sums;  ///< float64
  int64_t tokens = 0;

  void add(const RouterSums& other) {
    sums = sums.defined() ? sums.add_(other.sums) : other.sums;
    tokens += other.tokens;
  }
};
using AllRouterSums = std::map<std::string, RouterSums>;

inline void add_to(AllRouterSums& own, const AllRouterSums& other) {
  for (const auto& [router, sums] : other) own[router].add(sums);
}

/// The means over tokens, and how many these were. Leaves nothing in `all`.
inline StatisticTensors take_means(AllRouterSums& all) {
  StatisticTensors result;
  for (const auto& [router, sums] : std::exchange(all, {})) {
    result.tensors[router] = sums.sums / static_cast<double>(sums.tokens);
    result.rows[router] = sums.tokens;
  }
  return result;
}

}  // namespace assay
