/// Packs scored sequences into prefix trees (tries) for forward passes, so that shared prefixes are
/// computed once.
#pragma once

#include "harness/lm/encoding.h"

namespace assay {

/// Sequences with a shared prefix as one row of a batch: a prefix tree of tokens in depth-first
/// order. Tree attention: a token attends to its ancestors only.
struct TokenTree {
  struct Target {
    int32_t node;  ///< the node whose output predicts the token
    TokenId token;
    size_t sequence;  ///< index of the token's sequence
  };
  TokenIds ids;
  std::vector<int32_t> parents;  ///< -1: follows the prefix
  std::vector<int64_t> positions;
  std::vector<Target> targets;

  size_t size() const { return ids.size(); }
  /// True when every token's parent is the token before it.
  bool is_chain() const;
};

/// Trees after a shared prefix, whose KV cache is computed once. The prefix may be empty.
struct TreeGroup {
  TokenIds prefix;
  std::vector<TokenTree> trees;  ///< longest first
};

struct PackingLimits {
  /// The maximum size of a tree, unless one sequence is longer or its sequences share half of it.
  size_t tree_tokens = 512;
  size_t prefix_tokens = 64;  ///< shorter prefixes are recomputed in every tree
};

/// Packs the sequences of the given indices. The order of groups and trees is independent of the
/// order of the sequences.
std::vector<TreeGroup> pack_sequences(const std::vector<ScoredSequence>& sequences,
                                      std::vector<size_t> indices, const PackingLimits& limits);

}  // namespace assay
