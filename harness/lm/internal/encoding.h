/// From text to the tokens that are scored, by the rules of lm-evaluation-harness, so that scores
/// can be compared.
#pragma once

#include "harness/lm/requests.h"
#include "harness/lm/token_cache.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// DataError naming `where` when an id is not of the model's vocabulary.
void check_vocabulary(const TokenIds& ids, const Tokenizer& tokenizer, int64_t vocabulary,
                      const std::string& where);

/// Tokens of which those from `first` on are scored, each given all before it. `first` is at least
/// 1.
struct ScoredSequence {
  TokenIds tokens;
  size_t first = 1;
  int64_t dropped = 0;  ///< tokens left out at the beginning
};

/// Encodes for one model. Texts that are in `tokens` are not tokenized again.
class TextEncoder {
 public:
  explicit TextEncoder(const LanguageModel& model,
                       std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());
  /// For a model that reads the tokens before `first` and writes the others.
  explicit TextEncoder(const SequenceToSequenceModel& model,
                       std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());

  /// Without the EOS that a tokenizer puts after a text, but where an encoder-decoder reads it.
  /// White space at the context's end goes to the continuation. The continuation's tokens are those
  /// of the joined text after as many as the context alone has; an encoder-decoder's are those of
  /// the continuation alone. Special tokens are put where the tokenizer puts them, but not around
  /// what an encoder-decoder writes and not when the text begins with the token that begins texts;
  /// after an empty context that token (BOS, else EOS) stands. What does not fit into the model is
  /// left out at the beginning. DataError naming `where` when the continuation has no tokens or
  /// more than fit, when an id is outside the model's vocabulary, and when there is neither BOS nor
  /// EOS to begin with.
  ScoredSequence pair(const LikelihoodRequest& request) const;

  /// Windows of at most as many tokens as the model takes, which together score every token once;
  /// the first begins with BOS (else EOS), which is not scored and stands once unless the request
  /// says otherwise, later ones overlap by one token, and the last is as long as the others.
  /// DataError for a text without tokens, UserError for an encoder-decoder.
  std::vector<ScoredSequence> windows(const RollingRequest& request) const;

  /// The context's tokens, shortened at the beginning to leave room for what is generated, for
  /// which an encoder-decoder needs none.
  ScoredSequence prompt(const GenerationRequest& request) const;

  /// Most tokens that the model reads: what config.json says, for encoder-decoders else the
  /// tokenizer's model_max_length, else 2048.
  int64_t max_length() const { return max_length_; }

 private:
  TextEncoder(std::shared_ptr<TokenCache> tokens, std::shared_ptr<const Tokenizer> tokenizer,
              int64_t vocabulary, int64_t max_length, bool is_encoder_decoder);
  /// BOS, else EOS.
  TokenId begin_token(const std::string& where) const;
  TokenIds encode(const std::string& text, bool special, const std::string& where) const;
  /// With the special tokens that belong before a text, and for encoder-decoders around it.
  /// `all_ends`: with the EOS after it in any case.
  TokenIds encode_text(const std::string& text, const std::string& where,
                       bool all_ends = false) const;

  std::shared_ptr<TokenCache> tokens_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  int64_t vocabulary_, max_length_;
  bool is_encoder_decoder_;
  std::string begin_text_;
};

}  // namespace assay
