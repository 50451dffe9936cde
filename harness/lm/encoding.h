/// Converts requests to token sequences by the rules of lm-evaluation-harness, so that scores are
/// comparable.
#pragma once

#include "harness/lm/requests.h"
#include "harness/lm/token_cache.h"
#include "harness/model/encoder.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// DataError naming `where` when an id is outside the model's vocabulary.
void check_vocabulary(const TokenIds& ids, const Tokenizer& tokenizer, int64_t vocabulary,
                      const std::string& where);

/// The maximum number of tokens of an encoder's input: the model's, or the tokenizer's where that
/// is lower.
int64_t max_input_tokens(const EncoderArchitecture& architecture, const Tokenizer& tokenizer);

/// One text, or a pair (`second` is then not null), as the input of an encoder, truncated to at
/// most `max_tokens` (InputTemplate::apply()). DataError naming `where` when it has no tokens, or
/// one outside the model's vocabulary.
TokenizedInput encode_input(const EncoderArchitecture& architecture, const Tokenizer& tokenizer,
                            TokenCache& tokens, const std::string& first, const std::string* second,
                            int64_t max_tokens, const std::string& where);

/// A sequence whose tokens from `first` (at least 1) on are scored, each conditioned on all earlier
/// ones.
struct ScoredSequence {
  TokenIds tokens;
  size_t first = 1;
  int64_t dropped = 0;  ///< tokens truncated at the beginning
  /// The tokens before `first` are a request's context; else what a window of a text repeats.
  bool has_prompt = true;
};

/// Encodes requests for one model. Tokenization is memoized in `tokens`.
class TextEncoder {
 public:
  explicit TextEncoder(const LanguageModel& model,
                       std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());
  explicit TextEncoder(const RoutedModel& model,
                       std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());
  /// For a model whose encoder reads the tokens before `first` and whose decoder scores the others.
  explicit TextEncoder(const SequenceToSequenceModel& model,
                       std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());

  /// Context and continuation as one sequence. White space at the context's end moves to the
  /// continuation. A decoder's continuation consists of the joined text's tokens after as many as
  /// the context alone has; an encoder-decoder tokenizes the continuation separately. Special
  /// tokens are those of the tokenizer, with three exceptions. Only the text that an encoder reads
  /// keeps a final EOS. The continuation of an encoder-decoder has none. A text that already starts
  /// with BOS gets no second one. An empty context is BOS, else EOS. Too long sequences are
  /// truncated at the beginning. DataError naming `where`: when the continuation
  /// has no tokens or more than fit; when an id is outside the model's vocabulary; when neither BOS
  /// nor EOS exists.
  ScoredSequence pair(const LikelihoodRequest& request) const;

  /// Rolling windows of at most max_length() tokens, which together score every token once. The
  /// first begins with one BOS (else EOS), which is not scored; see RollingRequest::repeat_bos.
  /// Later ones overlap by one token, and the last is as long as the others. DataError for a text
  /// without tokens, UserError for an encoder-decoder.
  std::vector<ScoredSequence> windows(const RollingRequest& request) const;

  /// The context's tokens, truncated at the beginning so that prompt and generated tokens fit. An
  /// encoder-decoder reserves no tokens for generation.
  ScoredSequence prompt(const GenerationRequest& request) const;

  /// The model's maximum number of tokens, from config.json; for encoder-decoders without one the
  /// tokenizer's model_max_length, else 2048.
  int64_t max_length() const { return max_length_; }

 private:
  TextEncoder(std::shared_ptr<TokenCache> tokens, std::shared_ptr<const Tokenizer> tokenizer,
              int64_t vocabulary, int64_t max_length, bool is_encoder_decoder);
  /// BOS, else EOS.
  TokenId begin_token(const std::string& where) const;
  TokenIds encode(const std::string& text, bool special, const std::string& where) const;
  /// With the special tokens before a text, and for encoder-decoders also after it. `keep_eos`:
  /// with the EOS after it in any case.
  TokenIds encode_text(const std::string& text, const std::string& where,
                       bool keep_eos = false) const;

  std::shared_ptr<TokenCache> tokens_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  int64_t vocabulary_, max_length_;
  bool is_encoder_decoder_;
  std::string begin_text_;
};

}  // namespace assay
