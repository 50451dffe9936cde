/// The third stage of a tokenizer.json: maps pre-tokens to ids.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "harness/core/json.h"
#include "harness/tokenizer/models/vocabulary.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// Appends the ids of a pre-token, which is not empty. Thread-safe.
  virtual void tokenize(std::string_view pre_token, TokenIds& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  /// The id of the unknown token, where the model has one.
  virtual std::optional<TokenId> unknown() const = 0;
};

/// UserError naming the place when the object is not a known model.
std::unique_ptr<TokenModel> make_token_model(const JsonReader& json);

// Each in the file of its name.
std::unique_ptr<TokenModel> make_bpe(JsonReader& json);
std::unique_ptr<TokenModel> make_unigram(JsonReader& json);
std::unique_ptr<TokenModel> make_word_level(JsonReader& json);
std::unique_ptr<TokenModel> make_word_piece(JsonReader& json);

}  // namespace assay
