/// Unigram segmentation (arXiv:1804.10959): the most likely tokens of a text, by Viterbi's
/// algorithm.
#pragma once

#include <limits>
#include <vector>

#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// The log probability of an unknown character is lower by this than that of the least likely
/// token.
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

  /// From left to right; adjacent unknown characters are one part. DataError when a character has
  /// no token and there is no unknown token.
  std::vector<TokenPart> best(std::string_view text) const;

 private:
  /// The best segmentation that ends at a position.
  struct End {
    double score = 0;
    size_t begin = kUnreached;
    TokenId id = 0;
  };
  static constexpr size_t kUnreached = SIZE_MAX;
  static void relax(End& end, double score, size_t begin, TokenId id) {
    if (end.begin == kUnreached || score > end.score) end = {score, begin, id};
  }

  ByteTrie trie_;
  std::vector<double> scores_;  ///< by id
  TokenId unknown_ = -1;
  double unknown_score_ = 0;
};

}  // namespace assay
