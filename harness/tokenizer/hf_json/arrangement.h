/// How a model's own tokens stand around the tokens of one text, or of two.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace assay {

using TokenId = int32_t;
using TokenIds = std::vector<TokenId>;

/// What an encoder reads.
struct ArrangedTokens {
  TokenIds ids;
  std::vector<int32_t> types;  ///< of each token; usually 1 in the second text and 0 elsewhere
  int64_t dropped = 0;         ///< tokens of the texts that did not fit
};

struct Arrangement {
  enum class Source { kToken, kFirst, kSecond };
  struct Part {
    Source source;
    int32_t type = 0;
    TokenId id = 0;  ///< of a token
  };
  std::vector<Part> parts;

  /// One text and nothing else, two texts one after the other.
  static Arrangement plain(bool pair);

  /// In at most `max_tokens`. What is too long loses tokens at its end, of two texts first the
  /// longer one until both are of one length; an odd place goes to the longer, or the second.
  /// DataError when there is no room for the model's own tokens. `second` is for pairs.
  ArrangedTokens arrange(TokenIds first, TokenIds second, int64_t max_tokens) const;
  /// All of one text.
  TokenIds arrange(TokenIds text) const;

 private:
  int64_t own_tokens() const;
};

}  // namespace assay
