/// A tokenizer as tokenizer.json defines it.
#pragma once

#include "harness/tokenizer/hf_json/added_tokens.h"
#include "harness/tokenizer/hf_json/decoder.h"
#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/hf_json/post_processor.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/tokenizer_settings.h"
#include "harness/tokenizer/models/token_model.h"
#include "harness/tokenizer/models/word_cache.h"

namespace assay {

class JsonTokenizer : public ConfiguredTokenizer {
 public:
  /// `json`: the file's content, which `hasher` has already hashed. UserError naming the place of
  /// an unknown setting. Truncation and padding settings are ignored: callers batch the texts.
  JsonTokenizer(JsonReader json, const TokenizerSettings& settings, const TokenizerClass& hf_class,
                Hasher& hasher);

  TokenIds encode(std::string_view text, bool special) const override;
  std::string decode(const TokenIds& ids, bool skip_special) const override;
  int64_t size() const override;
  std::optional<TokenId> id(std::string_view token) const override;
  std::string token(TokenId id) const override;

 private:
  void encode_between_tokens(std::string_view text, bool at_start, WordCache& cache,
                             TokenIds& ids) const;
  void encode_normalized(std::string_view text, bool at_start, WordCache& cache,
                         TokenIds& ids) const;
  void encode_pre_token(std::string_view pre_token, WordCache& cache, TokenIds& ids) const;

  std::unique_ptr<Normalizer> normalizer_;       ///< may be null
  std::unique_ptr<PreTokenizer> pre_tokenizer_;  ///< may be null
  std::unique_ptr<TokenModel> model_;
  std::unique_ptr<TokenDecoder> decoder_;  ///< null: tokens are joined by spaces
  AddedTokens added_;
  int64_t size_ = 0;
  mutable WordCaches caches_;
};

}  // namespace assay
