#include "harness/lm/internal/packing.h"

#include <algorithm>
#include <tuple>

namespace assay {
namespace {

// The number of input tokens: the last token is predicted only.
size_t inputs(const ScoredSequence& sequence) { return sequence.tokens.size() - 1; }

size_t common_inputs(const ScoredSequence& a, const ScoredSequence& b) {
  const size_t most = std::min(inputs(a), inputs(b));
  return static_cast<size_t>(std::mismatch(a.tokens.begin(),
                                           a.tokens.begin() + static_cast<int64_t>(most),
                                           b.tokens.begin())
                                 .first -
                             a.tokens.begin());
}

// Inserts sequences into trees in sorted order, in which neighbours share the longest prefixes.
class TreeBuilder {
 public:
  TreeBuilder(size_t prefix, const PackingLimits& limits) : prefix_(prefix), limits_(limits) {}

  void add(const ScoredSequence& sequence, size_t index) {
    size_t shared = last_ ? std::max(common_inputs(*last_, sequence), prefix_) : prefix_;
    if (!last_ || !fits(sequence, shared)) {
      trees_.emplace_back();
      path_.clear();
      shared = prefix_;
    }
    TokenTree& tree = trees_.back();
    path_.resize(shared - prefix_);
    for (size_t depth = shared; depth < inputs(sequence); ++depth) {
      tree.parents.push_back(path_.empty() ? -1 : path_.back());
      path_.push_back(static_cast<int32_t>(tree.ids.size()));
      tree.ids.push_back(sequence.tokens[depth]);
      tree.positions.push_back(static_cast<int64_t>(depth));
    }
    for (size_t i = sequence.first; i < sequence.tokens.size(); ++i)
      tree.targets.push_back({path_[i - 1 - prefix_], sequence.tokens[i], index});
    last_ = &sequence;
  }

  size_t size() const { return trees_.size(); }
  std::vector<TokenTree> trees() {
    std::stable_sort(trees_.begin(), trees_.end(),
                     [](const TokenTree& a, const TokenTree& b) { return a.size() > b.size(); });
    return std::move(trees_);
  }

 private:
  bool fits(const ScoredSequence& sequence, size_t shared) const {
    const size_t added_alone = inputs(sequence) - prefix_;
    const size_t most = std::max(limits_.tree_tokens, 2 * (shared - prefix_));
    if (trees_.back().size() + inputs(sequence) - shared > most) return false;
    // A cached prefix is copied for every row, which favours long rows. Without one, a row is only
    // extended when that saves tokens: attention computes products with the whole row.
    return prefix_ > 0 || (shared - prefix_) * 4 >= added_alone;
  }

  size_t prefix_;
  PackingLimits limits_;
  std::vector<TokenTree> trees_;
  std::vector<int32_t> path_;  // nodes of the last sequence after the prefix
  const ScoredSequence* last_ = nullptr;
};

}  // namespace

bool TokenTree::is_chain() const {
  for (size_t i = 0; i < parents.size(); ++i)
    if (parents[i] != static_cast<int32_t>(i) - 1) return false;
  return true;
}

std::vector<TreeGroup> pack_sequences(const std::vector<ScoredSequence>& sequences,
                                      std::vector<size_t> indices, const PackingLimits& limits) {
  std::vector<size_t> order = std::move(indices);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto order_of = [&](size_t i) {
      return std::tie(sequences[i].tokens, sequences[i].first);
    };
    return order_of(a) < order_of(b);
  });

  std::vector<TreeGroup> groups;
  TreeBuilder without_prefix(0, limits);
  for (size_t begin = 0; begin < order.size();) {
    const ScoredSequence& first = sequences[order[begin]];
    size_t prefix = first.first - 1;  // every tree has a token before its first target
    size_t end = begin + 1;
    for (; end < order.size(); ++end) {
      const ScoredSequence& next = sequences[order[end]];
      const size_t shared =
          std::min({prefix, next.first - 1, common_inputs(sequences[order[end - 1]], next)});
      if (shared < limits.prefix_tokens) break;
      prefix = shared;
    }
    TreeBuilder after_prefix(prefix, limits);
    for (size_t i = begin; i < end; ++i) after_prefix.add(sequences[order[i]], order[i]);
    // A single tree shares its prefix without a KV cache.
    if (end > begin + 1 && after_prefix.size() > 1)
      groups.push_back({{first.tokens.begin(), first.tokens.begin() + static_cast<int64_t>(prefix)},
                        after_prefix.trees()});
    else
      for (size_t i = begin; i < end; ++i) without_prefix.add(sequences[order[i]], order[i]);
    begin = end;
  }
  if (without_prefix.size() > 0) groups.push_back({{}, without_prefix.trees()});
  return groups;
}

}  // namespace assay
