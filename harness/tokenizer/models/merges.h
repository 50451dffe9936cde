/// BPE merges (arXiv:1508.07909): which neighbours become one token, in which order.
#pragma once

#include <vector>

#include "harness/tokenizer/models/flat_map.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// A symbol of a text during merging; a node of a doubly linked list.
struct Symbol {
  static constexpr TokenId kMergedAway = -1;
  TokenId id;
  int32_t previous = -1, next = -1;  ///< -1: none
};

class Merges {
 public:
  explicit Merges(size_t expected = 0) : merges_(expected) {}

  /// Pairs of lower rank merge first; of equal ranks, the leftmost. A known pair gets the new rank.
  void add(TokenId left, TokenId right, int32_t rank, TokenId merged);

  /// Merges until no pair is left. A symbol that was merged into the one before it has the id
  /// kMergedAway.
  void apply(std::vector<Symbol>& symbols) const;

 private:
  struct Merge {
    int32_t rank = -1;
    TokenId id = -1;
  };
  const Merge* of(const std::vector<Symbol>& symbols, int32_t left) const;

  FlatMap<Merge> merges_;
};

}  // namespace assay
