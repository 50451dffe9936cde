/// The subsets of a few things, in one order that a statistic and the method that reads it share.
#pragma once

#include <cstdint>
#include <vector>

namespace assay {

/// More are refused.
inline constexpr int64_t kMostSubsets = 20000;

/// All ascending choices of `kept` of the numbers 0 to n - 1, in lexicographic order. UserError
/// when there are more than kMostSubsets, or `kept` is more than n.
std::vector<std::vector<int64_t>> subsets_of(int64_t n, int64_t kept);

}  // namespace assay
