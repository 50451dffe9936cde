#include "harness/lm/micro_batches.h"

#include <algorithm>
#include <numeric>

#include "harness/core/error.h"

namespace assay {
namespace {

int64_t all_tokens(const ExampleLength& length) { return length.inputs + length.decoder; }

/// What a batch of examples computes.
struct Extent {
  int64_t examples = 0, tokens = 0;
  ExampleLength longest{};

  Extent with(const ExampleLength& length) const {
    return {examples + 1,
            tokens + all_tokens(length),
            {std::max(longest.inputs, length.inputs), std::max(longest.decoder, length.decoder)}};
  }
  /// Whether more than a quarter of the positions is padding.
  bool is_ragged() const {
    const int64_t positions = examples * all_tokens(longest);
    return 4 * (positions - tokens) > positions;
  }
};

/// Examples of similar length, by their indices, which ascend in every group.
std::vector<std::vector<size_t>> groups_by_length(std::span<const ExampleLength> lengths) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  Extent all;
  for (const ExampleLength& length : lengths) all = all.with(length);
  if (!all.is_ragged()) return {order};

  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return all_tokens(lengths[a]) < all_tokens(lengths[b]);
  });
  std::vector<std::vector<size_t>> groups(1);
  Extent extent;
  for (const size_t i : order) {
    extent = extent.with(lengths[i]);
    if (extent.is_ragged()) {
      groups.emplace_back();
      extent = Extent().with(lengths[i]);
    }
    groups.back().push_back(i);
  }
  for (std::vector<size_t>& group : groups) std::sort(group.begin(), group.end());
  return groups;
}

}  // namespace

std::vector<std::vector<int64_t>> micro_batches(std::span<const int64_t> places,
                                                std::span<const ExampleLength> lengths,
                                                size_t most) {
  ASSAY_CHECK(places.size() == lengths.size() && most > 0, "{} examples, {} lengths, at most {}",
              places.size(), lengths.size(), most);
  std::vector<std::vector<int64_t>> batches;
  for (const std::vector<size_t>& group : groups_by_length(lengths))
    for (size_t i = 0; i < group.size(); ++i) {
      if (i % most == 0) batches.emplace_back();
      batches.back().push_back(places[group[i]]);
    }
  return batches;
}

}  // namespace assay
