/// The likeliest way to cut a text into tokens that have a score each (arXiv:1804.10959).
#pragma once

#include <limits>
#include <vector>

#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// How much less likely an unknown character is than the least likely token.
inline constexpr double kUnknownPenalty = 10;

/// A part of a text that is a token.
struct TokenPart {
  size_t begin, end;
  TokenId id;
};

class UnigramLattice {
 public:
  /// Scores are logarithms of probabilities.
  void add(std::string_view token, TokenId id, double score);
  /// The id of characters that no token covers, and their score.
  void set_unknown(TokenId id, double score);

  /// From left to right; neighbours that are unknown are one part. DataError when there is no
  /// token for a character, and none for what is unknown.
  std::vector<TokenPart> best(std::string_view text) const;

 private:
  /// The best way to end a token at a place.
  struct End {
    double score = 0;
    size_t begin = kNowhere;
    TokenId id = 0;
  };
  static constexpr size_t kNowhere = SIZE_MAX;
  static void offer(End& end, double score, size_t begin, TokenId id) {
    if (end.begin == kNowhere || score > end.score) end = {score, begin, id};
  }

  ByteTrie trie_;
  std::vector<double> scores_;  ///< by id
  TokenId unknown_ = -1;
  double unknown_score_ = 0;
};

}  // namespace assay
