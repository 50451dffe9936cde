/// The second stage of a tokenizer.json: splits the text into pre-tokens, which the model tokenizes
/// one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// A text and its pre-tokens, in order. Parts of the text may belong to none of them; no pre-token
/// is empty.
struct PreTokens {
  struct PreToken {
    size_t begin, end;  ///< bytes of the text
    bool at_start;      ///< whether it begins at the start of the whole input
    size_t size() const { return end - begin; }
  };
  std::string text;
  std::vector<PreToken> list;
  size_t max_bytes = SIZE_MAX;  ///< bytes that the text may grow to; see check_output_bytes()

  std::string_view view(const PreToken& pre_token) const {
    return std::string_view(text).substr(pre_token.begin, pre_token.size());
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(PreTokens& pre_tokens) const = 0;
};

/// Rewrites every pre-token by `change(text, at_start)`, which must not return an empty text.
template <typename Change>
void rewrite(PreTokens& pre_tokens, const Change& change) {
  std::string text;
  text.reserve(pre_tokens.text.size() * 2);
  for (PreTokens::PreToken& pre_token : pre_tokens.list) {
    const size_t begin = text.size();
    text += change(pre_tokens.view(pre_token), pre_token.at_start);
    pre_token = {begin, text.size(), pre_token.at_start};
  }
  pre_tokens.text = std::move(text);
}

/// UserError naming the place when the object is not a known pre-tokenizer.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonReader& json);

// By file: pattern_splits.cpp,
std::unique_ptr<PreTokenizer> make_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_whitespace(JsonReader& json);
// char_splits.cpp,
std::unique_ptr<PreTokenizer> make_whitespace_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer(JsonReader& json);
std::unique_ptr<PreTokenizer> make_punctuation(JsonReader& json);
std::unique_ptr<PreTokenizer> make_digits(JsonReader& json);
std::unique_ptr<PreTokenizer> make_char_delimiter_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_fixed_length(JsonReader& json);
// byte_level_split.cpp,
std::unique_ptr<PreTokenizer> make_byte_level_split(JsonReader& json);
// metaspace.cpp.
std::unique_ptr<PreTokenizer> make_metaspace(JsonReader& json);

}  // namespace assay
