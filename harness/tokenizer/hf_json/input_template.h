/// The template of a model's input: its special tokens around one text, or around a pair.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace assay {

using TokenId = int32_t;
using TokenIds = std::vector<TokenId>;

/// The input of a model: token ids and token types (segment ids).
struct TokenizedInput {
  TokenIds ids;
  std::vector<int32_t> types;  ///< of each token; usually 1 in the second text and 0 elsewhere
  int64_t dropped = 0;         ///< tokens of the texts that were truncated
};

struct InputTemplate {
  enum class Source { kToken, kFirst, kSecond };
  struct Part {
    Source source;
    int32_t type = 0;
    TokenId id = 0;  ///< of a token
  };
  std::vector<Part> parts;

  /// The texts without special tokens: one, or two concatenated.
  static InputTemplate plain(bool pair);

  /// Fills the template with at most `max_tokens`. Longest-first truncation: the longer text loses
  /// tokens at its end until both are equally long; an odd token is kept in the longer, or the
  /// second. DataError when the special tokens alone exceed `max_tokens`. `second` is for pairs.
  TokenizedInput apply(TokenIds first, TokenIds second, int64_t max_tokens) const;
  /// Without truncation, for one text.
  TokenIds apply(TokenIds text) const;

 private:
  int64_t special_tokens() const;
};

}  // namespace assay
