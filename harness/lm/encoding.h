/// From text to the tokens that are scored, by the rules of lm-evaluation-harness, so that scores
/// can be compared.
#pragma once

#include "harness/lm/requests.h"
#include "harness/model/language.h"

namespace assay {

/// The ids of a text, which is tokenized once per process for all models with the same tokenizer.
TokenIds encode_once(const Tokenizer& tokenizer, const std::string& text, bool special);

/// Tokens of which those from `first` on are scored, each given all before it. `first` is at least
/// 1.
struct ScoredSequence {
  TokenIds tokens;
  size_t first = 1;
  int64_t dropped = 0;  ///< tokens left out at the beginning
};

/// Encodes for one model. Texts are tokenized once per process: all models with the same tokenizer
/// share them.
class TextEncoder {
 public:
  explicit TextEncoder(const LanguageModel& model);

  /// White space at the context's end goes to the continuation. The continuation's tokens are those
  /// of the joined text after as many as the context alone has. Special tokens are put where the
  /// tokenizer puts them, unless the text begins with the token that begins texts; after an empty
  /// context that token (BOS, else EOS) stands. What does not fit into the model is left out at the
  /// beginning. DataError naming `where` when the continuation has no tokens or more than fit, when
  /// an id is outside the model's vocabulary, and when there is neither BOS nor EOS to begin with.
  ScoredSequence pair(const LikelihoodRequest& request) const;

  /// Windows of at most as many tokens as the model takes, which together score every token once;
  /// the first begins with BOS (else EOS), later ones overlap by one token, and the last is as long
  /// as the others. None for a text without tokens.
  std::vector<ScoredSequence> windows(const RollingRequest& request) const;

  /// The context's tokens, shortened at the beginning to leave room for what is generated.
  ScoredSequence prompt(const GenerationRequest& request) const;

 private:
  /// BOS, else EOS.
  TokenId begin_token(const std::string& where) const;
  TokenIds encode(const std::string& text, bool special, const std::string& where) const;
  /// With the special tokens that belong to a whole text.
  TokenIds encode_text(const std::string& text, const std::string& where) const;

  const LanguageModel& model_;
  int64_t max_length_;
  std::string tokenizer_hash_, begin_text_;
};

}  // namespace assay
