/// Helpers: single stages of a tokenizer.json, and temporary tokenizer folders.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/tokenizer/hf_json/decoder.h"
#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/models/token_model.h"
#include "harness/tokenizer/tokenizer.h"
#include "tests/core/temporary_folder.h"

namespace assay {

using Texts = std::vector<std::string>;

inline std::string normalized(const std::string& json, const std::string& text) {
  const Json parsed = parse_json(json, "normalizer");
  NormalText normal{text, true};
  make_normalizer(JsonReader(parsed, "$"))->apply(normal);
  return normal.text;
}

inline Texts pre_tokens_of(const std::string& json, const std::string& text, bool at_start = true) {
  const Json parsed = parse_json(json, "pre-tokenizer");
  PreTokens pre_tokens{text, {{0, text.size(), at_start}}};
  make_pre_tokenizer(JsonReader(parsed, "$"))->split(pre_tokens);
  Texts out;
  for (const auto& pre_token : pre_tokens.list) out.emplace_back(pre_tokens.view(pre_token));
  return out;
}

inline Texts decoded(const std::string& json, Texts tokens) {
  const Json parsed = parse_json(json, "decoder");
  make_decoder(JsonReader(parsed, "$"))->apply(tokens);
  return tokens;
}

/// The tokens of a pre-token.
inline Texts model_tokens(const std::string& json, const std::string& pre_token) {
  const Json parsed = parse_json(json, "model");
  const auto model = make_token_model(JsonReader(parsed, "$"));
  TokenIds ids;
  model->tokenize(pre_token, ids);
  Texts out;
  for (const TokenId id : ids) out.push_back(*model->vocabulary().token(id));
  return out;
}

/// A model's folder with these files, by name.
class TokenizerFolder {
 public:
  explicit TokenizerFolder(const std::map<std::string, std::string>& files) {
    for (const auto& [name, text] : files) write_file(folder_.path() / name, text);
  }
  std::shared_ptr<const Tokenizer> open() const { return Tokenizer::open(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

}  // namespace assay
