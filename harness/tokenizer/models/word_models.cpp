#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/models/token_model.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

TokenId required_unknown(JsonReader& json, const Vocabulary& vocabulary,
                         const std::string& fallback) {
  const std::string token = json.string("unk_token", fallback);
  const auto id = vocabulary.id(token);
  if (!id) json.fail(fmt::format("expected a vocabulary with the unknown token {}", token));
  return *id;
}

/// WordPiece (BERT): greedy longest match, repeated on the rest of the word.
class WordPieceModel : public TokenModel {
 public:
  explicit WordPieceModel(JsonReader& json)
      : vocabulary_(json.at("vocab")),
        unknown_(required_unknown(json, vocabulary_, "[UNK]")),
        prefix_(json.string("continuing_subword_prefix", "##")),
        longest_word_(json.integer("max_input_chars_per_word", 100)),
        longest_token_(longest(vocabulary_)) {
    if (prefix_.size() > kMaxPatternBytes || longest_token_ > kMaxPatternBytes)
      json.fail(fmt::format("expected tokens and a prefix of at most {} bytes", kMaxPatternBytes));
  }

  void tokenize(std::string_view pre_token, TokenIds& ids) const override {
    const size_t before = ids.size();
    if (characters(pre_token) <= longest_word_ && add_parts(pre_token, ids)) return;
    ids.resize(before);
    ids.push_back(unknown_);
  }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unknown() const override { return unknown_; }

 private:
  static size_t longest(const Vocabulary& vocabulary) {
    size_t bytes = 1;
    for (TokenId id = 0; id < vocabulary.size(); ++id)
      if (const std::string* token = vocabulary.token(id)) bytes = std::max(bytes, token->size());
    return bytes;
  }

  static int64_t characters(std::string_view text) {
    int64_t count = 0;
    for (size_t i = 0; i < text.size(); ++count)
      i += utf8_length(static_cast<unsigned char>(text[i]));
    return count;
  }

  bool add_parts(std::string_view pre_token, TokenIds& ids) const {
    std::string part;
    for (size_t begin = 0; begin < pre_token.size();) {
      part = begin > 0 ? prefix_ : std::string();
      const size_t shortest = part.size();
      part += pre_token.substr(begin, longest_token_);
      std::optional<TokenId> id;
      while (part.size() > shortest && !(id = vocabulary_.id(part)))
        part.resize(previous_char(part, part.size()));
      if (!id) return false;
      ids.push_back(*id);
      begin += part.size() - shortest;
    }
    return true;
  }

  Vocabulary vocabulary_;
  TokenId unknown_;
  std::string prefix_;
  int64_t longest_word_;
  size_t longest_token_;  ///< bytes
};

/// One token for each pre-token.
class WordLevelModel : public TokenModel {
 public:
  explicit WordLevelModel(JsonReader& json)
      : vocabulary_(json.at("vocab")), unknown_(required_unknown(json, vocabulary_, "<unk>")) {}
  void tokenize(std::string_view pre_token, TokenIds& ids) const override {
    ids.push_back(vocabulary_.id(pre_token).value_or(unknown_));
  }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unknown() const override { return unknown_; }

 private:
  Vocabulary vocabulary_;
  TokenId unknown_;
};

}  // namespace

std::unique_ptr<TokenModel> make_word_piece(JsonReader& json) {
  return std::make_unique<WordPieceModel>(json);
}

std::unique_ptr<TokenModel> make_word_level(JsonReader& json) {
  return std::make_unique<WordLevelModel>(json);
}

}  // namespace assay
