#include "harness/method/subsets.h"

#include <numeric>

#include "harness/core/error.h"

namespace assay {

std::vector<std::vector<int64_t>> subsets_of(int64_t n, int64_t kept) {
  if (kept > n || kept < 1) user_error("{} of {} experts cannot be kept", kept, n);
  std::vector<std::vector<int64_t>> subsets;
  std::vector<int64_t> chosen(static_cast<size_t>(kept));
  std::iota(chosen.begin(), chosen.end(), int64_t{0});
  while (true) {
    if (static_cast<int64_t>(subsets.size()) == kMostSubsets)
      user_error("{} of {} experts can be chosen in more than {} ways, which are too many to try",
                 kept, n, kMostSubsets);
    subsets.push_back(chosen);
    // The last one that can grow does; those after it follow it.
    int64_t last = kept - 1;
    while (last >= 0 && chosen[static_cast<size_t>(last)] == n - kept + last) --last;
    if (last < 0) return subsets;
    for (int64_t i = last, value = chosen[static_cast<size_t>(last)] + 1; i < kept; ++i)
      chosen[static_cast<size_t>(i)] = value++;
  }
}

}  // namespace assay
