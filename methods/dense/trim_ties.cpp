#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>

#include "harness/kernels/pool.h"
#include "harness/kernels/tie_order.h"
#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

// Tensors of this many elements, and an expert at a time of those that are larger, are in memory.
constexpr int64_t kMostElements = int64_t{1} << 27;

}  // namespace

std::vector<std::vector<int64_t>> TrimElect::introsort_ties(
    const TensorParts& tensor, const std::vector<DeltaTerm>& untrimmed,
    const std::vector<Threshold>& thresholds) const {
  std::vector<std::vector<int64_t>> kept(thresholds.size());
  std::vector<size_t> tied;
  for (size_t i = 0; i < thresholds.size(); ++i)
    if (thresholds[i].ties >= 0) tied.push_back(i);
  const auto together = static_cast<size_t>(
      std::max<int64_t>(1, kMostElements / std::max<int64_t>(1, tensor.elements())));
  for (size_t begin = 0; begin < tied.size(); begin += together) {
    const size_t count = std::min(together, tied.size() - begin);
    std::vector<TieOrder> orders;
    tensor.for_each([&](const TensorJob& part) {
      const std::vector<DeltaTerm> rounded = rounded_terms(untrimmed, compute, part);
      for (size_t k = 0; k < count; ++k) {
        const size_t i = tied[begin + k];
        if (orders.size() == k) orders.emplace_back(tensor.elements(), rounded[i].rounding);
        orders[k].feed(part.base, part.experts[i], rounded[i], part.offset);
      }
    });
    std::atomic<size_t> next{0};
    ThreadPool::shared().run(static_cast<int>(count), [&] {
      for (size_t k = next++; k < count; k = next++) {
        const size_t i = tied[begin + k];
        const int64_t all = tensor.elements();
        kept[i] = orders[k].kept_ties(thresholds[i].bits, all - threshold_rank(i, all) + 1);
      }
    });
  }
  return kept;
}

}  // namespace assay
