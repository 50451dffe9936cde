#include "harness/tokenizer/models/merges.h"

#include <functional>
#include <queue>

namespace assay {
namespace {

struct Candidate {
  int32_t rank, position;
  TokenId id;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

void Merges::add(TokenId left, TokenId right, int32_t rank, TokenId merged) {
  merges_[pair_key(left, right)] = {rank, merged};
}

const Merges::Merge* Merges::of(const std::vector<Symbol>& symbols, int32_t left) const {
  const Symbol& symbol = symbols[static_cast<size_t>(left)];
  if (symbol.next < 0) return nullptr;
  return merges_.find(pair_key(symbol.id, symbols[static_cast<size_t>(symbol.next)].id));
}

void Merges::apply(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> waiting;
  const auto consider = [&](int32_t left) {
    if (const Merge* found = of(symbols, left)) waiting.push({found->rank, left, found->id});
  };
  for (int32_t i = 0; i < count; ++i) consider(i);
  while (!waiting.empty()) {
    const Candidate best = waiting.top();
    waiting.pop();
    Symbol& left = symbols[static_cast<size_t>(best.position)];
    if (left.id == Symbol::kMergedAway) continue;
    // The pair may have changed since; it is still valid when it merges into the same token.
    const Merge* now = of(symbols, best.position);
    if (!now || now->id != best.id) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    left.id = best.id;
    left.next = right.next;
    right.id = Symbol::kMergedAway;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    if (left.previous >= 0) consider(left.previous);
    consider(best.position);
  }
}

}  // namespace assay
