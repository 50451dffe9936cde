#include "harness/tokenizer/hf_json/json_tokenizer.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

JsonTokenizer::JsonTokenizer(JsonReader json, const TokenizerSettings& settings,
                             const TokenizerClass& hf_class, Hasher& hasher)
    : model_(make_token_model(json.at("model"))) {
  if (const auto stage = present(json, "normalizer")) normalizer_ = make_normalizer(*stage);
  if (const auto stage = present(json, "pre_tokenizer"))
    pre_tokenizer_ = make_pre_tokenizer(*stage);
  if (const auto stage = present(json, "post_processor")) {
    PostProcessor texts = read_post_processor(*stage);
    single_ = std::move(texts.single);
    pair_ = std::move(texts.pair);
  }
  if (const auto stage = present(json, "decoder")) decoder_ = make_decoder(*stage);
  const auto add = [&](AddedToken token, bool overwrite = false) {
    // A token of the model's vocabulary keeps its id.
    token.id = model_->vocabulary().id(token.content).value_or(token.id);
    if (token.id >= 0) added_.add(token, overwrite);
  };
  if (const auto tokens = present(json, "added_tokens"))
    for (const JsonReader& token : tokens->elements()) add(AddedToken::read(token));
  for (const AddedToken& token : settings.added) add(token, settings.added_overwrite);
  for (const AddedToken& token : settings.special_tokens(hf_class))
    if (!added_.make_special(token.content)) add(token);
  added_.prepare(normalizer_.get());
  size_ = model_->vocabulary().size();
  for (const AddedToken& token : added_.all()) size_ = std::max<int64_t>(size_, token.id + 1);
  unknown_ = model_->unknown();
  configure(settings, hf_class, hasher);
}

TokenIds JsonTokenizer::encode(std::string_view text, bool special) const {
  TokenIds ids;
  const std::string valid = valid_utf8(text);
  auto cache = caches_.acquire();
  for (const AddedTokens::Part& part : added_.split(valid, false))
    if (part.token)
      ids.push_back(part.token->id);
    else
      encode_between_tokens(std::string_view(valid).substr(part.begin, part.end - part.begin),
                            part.begin == 0, *cache, ids);
  caches_.release(std::move(cache));
  return special ? single_.apply(std::move(ids)) : ids;
}

void JsonTokenizer::encode_between_tokens(std::string_view text, bool at_start, WordCache& cache,
                                          TokenIds& ids) const {
  NormalText normal{std::string(text), at_start, max_output_bytes(text.size())};
  if (normalizer_) normalizer_->apply(normal);
  for (const AddedTokens::Part& part : added_.split(normal.text, true))
    if (part.token)
      ids.push_back(part.token->id);
    else
      encode_normalized(std::string_view(normal.text).substr(part.begin, part.end - part.begin),
                        normal.at_start && part.begin == 0, cache, ids);
}

void JsonTokenizer::encode_normalized(std::string_view text, bool at_start, WordCache& cache,
                                      TokenIds& ids) const {
  if (!pre_tokenizer_) return encode_pre_token(text, cache, ids);
  PreTokens pre_tokens{
      std::string(text), {{0, text.size(), at_start}}, max_output_bytes(text.size())};
  pre_tokenizer_->split(pre_tokens);
  for (const PreTokens::PreToken& pre_token : pre_tokens.list)
    encode_pre_token(pre_tokens.view(pre_token), cache, ids);
}

void JsonTokenizer::encode_pre_token(std::string_view pre_token, WordCache& cache,
                                     TokenIds& ids) const {
  if (cache.get(pre_token, ids)) return;
  const size_t first = ids.size();
  model_->tokenize(pre_token, ids);
  cache.put(pre_token, ids, first);
}

std::string JsonTokenizer::decode(const TokenIds& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) {
    const AddedToken* added = added_.find(id);
    if (!added || !added->special || !skip_special) tokens.push_back(token(id));
  }
  if (tokens.empty()) return {};
  if (!decoder_) return fmt::format("{}", fmt::join(tokens, " "));
  decoder_->apply(tokens);
  return fmt::format("{}", fmt::join(tokens, ""));
}

int64_t JsonTokenizer::size() const { return size_; }

std::optional<TokenId> JsonTokenizer::id(std::string_view token) const {
  if (const AddedToken* added = added_.find(token)) return added->id;
  return model_->vocabulary().id(token);
}

std::string JsonTokenizer::token(TokenId id) const {
  if (const AddedToken* added = added_.find(id)) return added->content;
  if (const std::string* token = model_->vocabulary().token(id)) return *token;
  data_error("the tokenizer has no token with id {}; ids are below {}", id, size_);
}

}  // namespace assay
