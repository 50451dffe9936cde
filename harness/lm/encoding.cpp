#include "harness/lm/encoding.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/whitespace.h"

namespace assay {
namespace {

std::string without_trailing_space(std::string_view text) {
  while (const size_t space = trailing_space(text)) text.remove_suffix(space);
  return std::string(text);
}

// Removes tokens at the beginning until at most `max_tokens` remain.
void truncate_left(ScoredSequence& sequence, int64_t max_tokens) {
  const int64_t excess = static_cast<int64_t>(sequence.tokens.size()) - max_tokens;
  if (excess <= 0) return;
  sequence.tokens.erase(sequence.tokens.begin(), sequence.tokens.begin() + excess);
  sequence.first -= static_cast<size_t>(excess);
  sequence.dropped += excess;
}

// The default of lm-evaluation-harness when no maximum is stated.
constexpr int64_t kDefaultMaxLength = 2048;

int64_t max_length_of(const SequenceToSequenceModel& model) {
  if (const auto stated = model.architecture->max_positions()) return *stated;
  return model.tokenizer->max_length().value_or(kDefaultMaxLength);
}

}  // namespace

void check_vocabulary(const TokenIds& ids, const Tokenizer& tokenizer, int64_t vocabulary,
                      const std::string& where) {
  for (const TokenId id : ids)
    if (id < 0 || id >= vocabulary)
      data_error("{}: the tokenizer gives the id {} ('{}'), but the model's vocabulary has {}",
                 where, id, tokenizer.token(id), vocabulary);
}

int64_t max_input_tokens(const EncoderArchitecture& architecture, const Tokenizer& tokenizer) {
  const int64_t model_limit = architecture.max_tokens();
  return std::min(model_limit, tokenizer.max_length().value_or(model_limit));
}

TokenizedInput encode_input(const EncoderArchitecture& architecture, const Tokenizer& tokenizer,
                            TokenCache& tokens, const std::string& first, const std::string* second,
                            int64_t max_tokens, const std::string& where) {
  TokenizedInput input =
      tokenizer.input_template(second != nullptr)
          .apply(tokens.encode(tokenizer, first, false),
                 second ? tokens.encode(tokenizer, *second, false) : TokenIds(), max_tokens);
  if (input.ids.empty()) data_error("{}: the text has no tokens", where);
  check_vocabulary(input.ids, tokenizer, architecture.vocabulary(), where);
  return input;
}

TextEncoder::TextEncoder(const LanguageModel& model, std::shared_ptr<TokenCache> tokens)
    : TextEncoder(std::move(tokens), model.tokenizer, model.architecture->vocabulary(),
                  model.architecture->max_positions(), false) {}

TextEncoder::TextEncoder(const RoutedModel& model, std::shared_ptr<TokenCache> tokens)
    : TextEncoder(std::move(tokens), model.tokenizer, model.architecture->vocabulary(),
                  model.architecture->max_positions(), false) {}

TextEncoder::TextEncoder(const SequenceToSequenceModel& model, std::shared_ptr<TokenCache> tokens)
    : TextEncoder(std::move(tokens), model.tokenizer, model.architecture->vocabulary(),
                  max_length_of(model), true) {}

TextEncoder::TextEncoder(std::shared_ptr<TokenCache> tokens,
                         std::shared_ptr<const Tokenizer> tokenizer, int64_t vocabulary,
                         int64_t max_length, bool is_encoder_decoder)
    : tokens_(std::move(tokens)),
      tokenizer_(std::move(tokenizer)),
      vocabulary_(vocabulary),
      max_length_(max_length),
      is_encoder_decoder_(is_encoder_decoder) {
  const auto begin = tokenizer_->bos() ? tokenizer_->bos() : tokenizer_->eos();
  if (begin) begin_text_ = tokenizer_->decode({*begin}, false);
}

TokenId TextEncoder::begin_token(const std::string& where) const {
  if (const auto bos = tokenizer_->bos()) return *bos;
  if (const auto eos = tokenizer_->eos()) return *eos;
  data_error("{}: the model's tokenizer has neither a BOS nor an EOS token to begin a text with",
             where);
}

TokenIds TextEncoder::encode(const std::string& text, bool special,
                             const std::string& where) const {
  TokenIds ids = tokens_->encode(*tokenizer_, text, special);
  check_vocabulary(ids, *tokenizer_, vocabulary_, where);
  return ids;
}

TokenIds TextEncoder::encode_text(const std::string& text, const std::string& where,
                                  bool keep_eos) const {
  const bool special = begin_text_.empty() || !text.starts_with(begin_text_);
  TokenIds ids = encode(text, special, where);
  if (special && !is_encoder_decoder_ && !keep_eos)
    ids.resize(ids.size() - std::min(ids.size(), tokenizer_->ends_after_text()));
  return ids;
}

ScoredSequence TextEncoder::pair(const LikelihoodRequest& request) const {
  const std::string& where = request.where;
  const std::string context = without_trailing_space(request.context);
  const std::string joined = request.context + request.continuation;
  ScoredSequence sequence{context.empty() ? TokenIds() : encode_text(context, where), 0};
  TokenIds ids;
  size_t skipped = 0;
  if (sequence.tokens.empty()) {
    sequence.tokens = {begin_token(where)};
    ids = encode(joined, false, where);
    skipped = !ids.empty() && ids.front() == sequence.tokens.front() ? 1 : 0;
  } else if (is_encoder_decoder_) {
    ids = encode(joined.substr(context.size()), false, where);
  } else {
    ids = encode_text(joined, where);
    skipped = std::min(sequence.tokens.size(), ids.size());
  }
  sequence.first = sequence.tokens.size();
  sequence.tokens.insert(sequence.tokens.end(), ids.begin() + static_cast<int64_t>(skipped),
                         ids.end());
  const int64_t scored = static_cast<int64_t>(sequence.tokens.size() - sequence.first);
  if (scored == 0)
    data_error("{}: the text to be scored, '{}', has no tokens after its context", where,
               request.continuation);
  if (scored > max_length_)
    data_error("{}: the text to be scored has {} tokens, but the model accepts at most {}", where,
               scored, max_length_);
  truncate_left(sequence, max_length_ + (is_encoder_decoder_ ? scored : 1));
  return sequence;
}

std::vector<ScoredSequence> TextEncoder::windows(const RollingRequest& request) const {
  const std::string& where = request.where;
  if (is_encoder_decoder_)
    user_error(
        "{}: an encoder-decoder assigns no probability to the text that it reads, which this task "
        "requires",
        where);
  if (request.window < 0 || request.window > max_length_)
    data_error("{}: a window of {} tokens, but the model takes 1..{}", where, request.window,
               max_length_);
  const int64_t window = request.window > 0 ? request.window : max_length_;
  TokenIds text{begin_token(where)};
  TokenIds ids = encode_text(request.text, where, request.repeat_bos);
  if (!request.repeat_bos && !ids.empty() && ids.front() == text.front()) ids.erase(ids.begin());
  if (ids.empty()) data_error("{}: the text has no tokens", where);
  text.insert(text.end(), ids.begin(), ids.end());

  std::vector<ScoredSequence> windows;
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t done = 0; done < total;) {
    const int64_t end = std::min(total, done + window);
    const int64_t begin = std::max<int64_t>(0, end - window);
    // text[i + 1] is ids[i]: the window's last token is text[end].
    windows.push_back(
        {{text.begin() + begin, text.begin() + end + 1}, static_cast<size_t>(done + 1 - begin)});
    windows.back().has_prompt = false;
    done = end;
  }
  return windows;
}

ScoredSequence TextEncoder::prompt(const GenerationRequest& request) const {
  const int64_t reserved = is_encoder_decoder_ ? 0 : request.max_tokens;
  if (request.max_tokens < 1 || reserved >= max_length_)
    data_error("{}: {} tokens to generate, but the model accepts at most {} with the prompt",
               request.where, request.max_tokens, max_length_);
  ScoredSequence sequence{request.context.empty() ? TokenIds()
                                                  : encode_text(request.context, request.where)};
  if (sequence.tokens.empty()) sequence.tokens = {begin_token(request.where)};
  sequence.first = sequence.tokens.size();
  truncate_left(sequence, max_length_ - reserved);
  return sequence;
}

}  // namespace assay
