#include "harness/lm/encoding.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/whitespace.h"

namespace assay {
namespace {

// The ids of every text of this process, by tokenizer and text.
class TokenMemory {
 public:
  static TokenMemory& instance() {
    static TokenMemory memory;
    return memory;
  }

  TokenIds encode(const Tokenizer& tokenizer, const std::string& tokenizer_hash,
                  const std::string& text, bool special) {
    const std::string key = Hasher().text(tokenizer_hash).text(text).number(special ? 1 : 0).hex();
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = ids_.find(key); known != ids_.end()) return known->second;
    }
    TokenIds ids = tokenizer.encode(text, special);
    const std::lock_guard lock(mutex_);
    if (held_ + ids.size() <= kMostIds && ids_.emplace(key, ids).second) held_ += ids.size();
    return ids;
  }

 private:
  static constexpr size_t kMostIds = size_t{64} << 20;  // 256 MiB of them
  std::mutex mutex_;
  std::unordered_map<std::string, TokenIds> ids_;
  size_t held_ = 0;
};

std::string without_trailing_space(std::string_view text) {
  while (const size_t space = trailing_space(text)) text.remove_suffix(space);
  return std::string(text);
}

// Leaves out tokens at the beginning until at most `most` are left.
void shorten(ScoredSequence& sequence, int64_t most) {
  const int64_t excess = static_cast<int64_t>(sequence.tokens.size()) - most;
  if (excess <= 0) return;
  sequence.tokens.erase(sequence.tokens.begin(), sequence.tokens.begin() + excess);
  sequence.first -= static_cast<size_t>(excess);
  sequence.dropped += excess;
}

}  // namespace

TokenIds encode_once(const Tokenizer& tokenizer, const std::string& text, bool special) {
  return TokenMemory::instance().encode(tokenizer, tokenizer.hash(), text, special);
}

TextEncoder::TextEncoder(const LanguageModel& model)
    : model_(model),
      max_length_(model.architecture->max_positions()),
      tokenizer_hash_(model.tokenizer->hash()) {
  const auto begin = model.tokenizer->bos() ? model.tokenizer->bos() : model.tokenizer->eos();
  if (begin) begin_text_ = model.tokenizer->decode({*begin}, false);
}

TokenId TextEncoder::begin_token(const std::string& where) const {
  if (const auto bos = model_.tokenizer->bos()) return *bos;
  if (const auto eos = model_.tokenizer->eos()) return *eos;
  data_error("{}: the model's tokenizer has neither a BOS nor an EOS token to begin a text with",
             where);
}

TokenIds TextEncoder::encode(const std::string& text, bool special,
                             const std::string& where) const {
  TokenIds ids = TokenMemory::instance().encode(*model_.tokenizer, tokenizer_hash_, text, special);
  for (const TokenId id : ids)
    if (id < 0 || id >= model_.architecture->vocabulary())
      data_error("{}: the tokenizer gives the id {} ('{}'), but the model's vocabulary has {}",
                 where, id, model_.tokenizer->token(id), model_.architecture->vocabulary());
  return ids;
}

TokenIds TextEncoder::encode_text(const std::string& text, const std::string& where) const {
  return encode(text, begin_text_.empty() || !text.starts_with(begin_text_), where);
}

ScoredSequence TextEncoder::pair(const LikelihoodRequest& request) const {
  const std::string& where = request.where;
  const std::string context = without_trailing_space(request.context);
  const std::string whole = request.context + request.continuation;
  ScoredSequence sequence{context.empty() ? TokenIds() : encode_text(context, where), 0};
  if (sequence.tokens.empty()) {
    TokenIds ids = encode(whole, false, where);
    sequence.tokens = {begin_token(where)};
    if (!ids.empty() && ids.front() == sequence.tokens.front()) ids.erase(ids.begin());
    sequence.first = 1;
    sequence.tokens.insert(sequence.tokens.end(), ids.begin(), ids.end());
  } else {
    const TokenIds ids = encode_text(whole, where);
    sequence.first = sequence.tokens.size();
    if (ids.size() > sequence.first)
      sequence.tokens.insert(sequence.tokens.end(),
                             ids.begin() + static_cast<int64_t>(sequence.first), ids.end());
  }
  const int64_t scored = static_cast<int64_t>(sequence.tokens.size() - sequence.first);
  if (scored == 0)
    data_error("{}: the text to be scored, '{}', tokenizes to nothing after its context", where,
               request.continuation);
  if (scored > max_length_)
    data_error("{}: the text to be scored has {} tokens, but the model takes at most {}", where,
               scored, max_length_);
  shorten(sequence, max_length_ + 1);
  return sequence;
}

std::vector<ScoredSequence> TextEncoder::windows(const RollingRequest& request) const {
  const std::string& where = request.where;
  if (request.window < 0 || request.window > max_length_)
    data_error("{}: a window of {} tokens, but the model takes 1..{}", where, request.window,
               max_length_);
  const int64_t window = request.window > 0 ? request.window : max_length_;
  TokenIds text{begin_token(where)};
  const TokenIds ids = encode_text(request.text, where);
  text.insert(text.end(), ids.begin(), ids.end());

  std::vector<ScoredSequence> windows;
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t done = 0; done < total;) {
    const int64_t end = std::min(total, done + window);
    const int64_t begin = std::max<int64_t>(0, end - window);
    // text[i + 1] is ids[i]: the window's last token is text[end].
    windows.push_back(
        {{text.begin() + begin, text.begin() + end + 1}, static_cast<size_t>(done + 1 - begin)});
    done = end;
  }
  return windows;
}

ScoredSequence TextEncoder::prompt(const GenerationRequest& request) const {
  if (request.max_tokens < 1 || request.max_tokens >= max_length_)
    data_error("{}: {} tokens to generate, but the model takes at most {} with the prompt",
               request.where, request.max_tokens, max_length_);
  ScoredSequence sequence{request.context.empty() ? TokenIds()
                                                  : encode_text(request.context, request.where)};
  if (sequence.tokens.empty()) sequence.tokens = {begin_token(request.where)};
  sequence.first = sequence.tokens.size();
  shorten(sequence, max_length_ - request.max_tokens);
  return sequence;
}

}  // namespace assay
