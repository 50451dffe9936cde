#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>

#include "harness/kernels/pool.h"
#include "harness/kernels/tie_order.h"
#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

// So many elements are held in memory: several experts' of a small tensor, one's of a large one.
// All three experts' of an embedding of 32,000 tokens by 2,048, so that it is read once.
constexpr int64_t kMostElements = int64_t{3} << 26;

constexpr int64_t kSamples = 128, kSampled = 256;  // so many times so many elements
constexpr int64_t kWorthSampling = 8;              // times the sample

}  // namespace

TrimElect::Trimmed TrimElect::introsorted(const TensorParts& tensor) const {
  const int64_t elements = tensor.elements();
  Trimmed result{untrimmed(tensor), {}};
  const std::vector<DeltaTerm> terms = result.terms;
  auto& bits = result.kept_ties;
  bits.resize(terms.size());
  std::vector<size_t> trimmed;
  for (size_t i = 0; i < terms.size(); ++i)
    if (share(i) < 1 && threshold_rank(i, elements) > 0) trimmed.push_back(i);

  const auto together = static_cast<size_t>(std::max<int64_t>(1, kMostElements / elements));
  for (size_t begin = 0; begin < trimmed.size(); begin += together) {
    const size_t count = std::min(together, trimmed.size() - begin);
    std::vector<TieOrder> orders;
    const auto give = [&](const TensorJob& part, const auto& feed) {
      const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
      for (size_t k = 0; k < count; ++k) {
        const size_t i = trimmed[begin + k];
        const int64_t kept = elements - threshold_rank(i, elements) + 1;
        if (orders.size() == k) orders.emplace_back(elements, kept, rounded[i].rounding);
        (orders[k].*feed)(part.base, part.experts[i], rounded[i], part.offset);
      }
    };
    if (elements >= kWorthSampling * kSamples * kSampled)
      for (int64_t n = 0; n < kSamples; ++n)
        give(tensor.glance(elements / kSamples / 64 * 64 * n, kSampled), &TieOrder::glance);
    tensor.for_each([&](const TensorJob& part) { give(part, &TieOrder::feed); });
    std::atomic<size_t> next{0};
    ThreadPool::shared().run(std::min(at::get_num_threads(), static_cast<int>(count)), [&] {
      for (size_t k = next++; k < count; k = next++) {
        const size_t i = trimmed[begin + k];
        TieOrder::Selection selected = orders[k].select();
        result.terms[i].threshold = selected.bits;
        if (selected.all_ties) continue;
        bits[i] = std::make_shared<const std::vector<uint64_t>>(std::move(selected.kept_ties));
        result.terms[i].kept_ties = bits[i]->data();
      }
    });
  }
  return result;
}

}  // namespace assay
