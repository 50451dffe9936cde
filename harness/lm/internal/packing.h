/// Lays scored sequences out for forward passes, so that tokens which several of them begin with
/// are computed once.
#pragma once

#include "harness/lm/internal/encoding.h"

namespace assay {

/// Sequences that share a beginning as one row of a batch: a tree of tokens, written down in
/// depth-first order, in which a token may look at its ancestors only.
struct TokenTree {
  struct Target {
    int32_t node;  ///< whose output predicts the token
    TokenId token;
    size_t sequence;  ///< index of the sequence it belongs to
  };
  TokenIds ids;
  std::vector<int32_t> parents;  ///< -1: follows the prefix
  std::vector<int64_t> positions;
  std::vector<Target> targets;

  size_t size() const { return ids.size(); }
  /// Every token follows the one before it.
  bool is_chain() const;
};

/// Trees after a prefix that they all share, which is computed once. Where there is none it is
/// empty.
struct TreeGroup {
  TokenIds prefix;
  std::vector<TokenTree> trees;  ///< longest first
};

struct PackingLimits {
  /// A tree grows no further than this, unless one sequence is longer or its sequences share half.
  size_t tree_tokens = 512;
  size_t prefix_tokens = 64;  ///< shorter prefixes are computed again in every tree
};

/// Packs the sequences of the given indices. The order of groups and trees does not depend on that
/// of the sequences.
std::vector<TreeGroup> pack_sequences(const std::vector<ScoredSequence>& sequences,
                                      std::vector<size_t> chosen, const PackingLimits& limits);

}  // namespace assay
