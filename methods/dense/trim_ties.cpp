#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "harness/core/thread_pool.h"
#include "harness/kernels/mergekit/tie_order.h"
#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

// So many elements are held in memory: several experts' of a small tensor, one's of a large one.
// All three experts' of an embedding of 32,000 tokens by 2,048, so that it is read once.
constexpr int64_t kMostElements = int64_t{3} << 26;

constexpr int64_t kSamples = 128, kSampled = 256;  // so many times so many elements
constexpr int64_t kWorthSampling = 8;              // times the sample

}  // namespace

int64_t TrimElect::working_bytes(const TensorInfo& tensor) const {
  if (tie_order != Ties::kIntrosort || !trims()) return 0;
  const bool bfloat16 = compute == Compute::kStorage && tensor.dtype == at::kBFloat16;
  return TieOrder::key_bytes(tensor.numel(), bfloat16 ? DType::kBFloat16 : DType::kFloat32);
}

std::vector<TrimElect::Kept> TrimElect::select_introsorted(
    const TensorParts& tensor, const std::vector<DeltaTerm>& terms,
    const std::vector<size_t>& experts) const {
  const int64_t elements = tensor.elements();
  std::vector<Kept> kept(experts.size());
  std::vector<TieOrder> orders;
  const auto give = [&](const TensorJob& part, const auto& feed) {
    const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
    for (size_t k = 0; k < experts.size(); ++k) {
      const size_t i = experts[k];
      if (orders.size() == k) {
        const DType rounding = rounded[i].rounding;
        const bool fits = tensor.memory().fits(TieOrder::key_bytes(elements, rounding));
        orders.emplace_back(elements, elements - threshold_rank(i, elements) + 1, rounding,
                            fits ? "" : tensor.memory().scratch);
      }
      (orders[k].*feed)(part.base, part.experts[i], rounded[i], part.offset);
    }
  };
  if (elements >= kWorthSampling * kSamples * kSampled)
    for (int64_t n = 0; n < kSamples; ++n)
      give(tensor.glance(elements / kSamples / 64 * 64 * n, kSampled), &TieOrder::glance);
  tensor.for_each([&](const TensorJob& part) { give(part, &TieOrder::feed); });
  const auto count = std::ssize(experts);
  ThreadPool::shared().run(at::get_num_threads(), count, [&](IndexQueue& indices) {
    while (const auto index = indices.next()) {
      const auto k = static_cast<size_t>(*index);
      const TieOrder::Selection selected = orders[k].select();
      kept[k] = {selected.bits};
      kept[k].insert(kept[k].end(), selected.kept_ties.begin(), selected.kept_ties.end());
    }
  });
  return kept;
}

TrimElect::Trimmed TrimElect::introsorted(const TensorParts& tensor) const {
  const int64_t elements = tensor.elements();
  Trimmed result{untrimmed(tensor), {}};
  const std::vector<DeltaTerm> terms = result.terms;
  result.kept_ties.resize(terms.size());
  std::vector<size_t> trimmed;
  for (size_t i = 0; i < terms.size(); ++i)
    if (share(i) < 1 && threshold_rank(i, elements) > 0) trimmed.push_back(i);

  const DType rounded_to = rounding(compute, tensor.glance(0, 1).base);
  const auto held = [&](size_t experts) {
    return static_cast<int64_t>(experts) * TieOrder::key_bytes(elements, rounded_to);
  };
  auto together =
      std::min(trimmed.size(), static_cast<size_t>(std::max<int64_t>(1, kMostElements / elements)));
  while (together > 1 && !tensor.memory().fits(held(together))) --together;
  for (size_t begin = 0; begin < trimmed.size(); begin += together) {
    const std::vector<size_t> some(
        trimmed.begin() + static_cast<int64_t>(begin),
        trimmed.begin() + static_cast<int64_t>(std::min(begin + together, trimmed.size())));
    std::vector<std::string> keys;
    for (const size_t i : some)
      keys.push_back(fmt::format("introsort {} {}", share(i), delta_key(tensor, i, terms[i])));
    const auto kept = tensor.cached<Kept>(keys, [&](const std::vector<size_t>& missing) {
      std::vector<size_t> experts;
      for (const size_t k : missing) experts.push_back(some[k]);
      return select_introsorted(tensor, terms, experts);
    });
    for (size_t k = 0; k < some.size(); ++k) {
      DeltaTerm& term = result.terms[some[k]];
      term.threshold = static_cast<uint32_t>(kept[k].front());
      if (kept[k].size() == 1) continue;
      auto& ties = result.kept_ties[some[k]];
      ties = std::make_shared<const std::vector<uint64_t>>(kept[k].begin() + 1, kept[k].end());
      term.kept_ties = ties->data();
    }
  }
  return result;
}

}  // namespace assay
