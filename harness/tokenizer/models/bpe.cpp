#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/models/merges.h"
#include "harness/tokenizer/models/token_model.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

/// Byte-pair encoding with the variations of tokenizer files.
class BpeModel : public TokenModel {
 public:
  explicit BpeModel(JsonReader& json);
  void tokenize(std::string_view pre_token, TokenIds& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unknown() const override { return unknown_; }

 private:
  using Symbols = std::vector<Symbol>;
  void read_merges(const JsonReader& json);
  void first_symbols(std::string_view pre_token, Symbols& symbols) const;
  bool add_as_bytes(std::string_view text, Symbols& symbols) const;

  Vocabulary vocabulary_;
  Merges merges_;
  std::vector<TokenId> byte_tokens_;  ///< empty: no byte fallback
  std::optional<TokenId> unknown_;
  std::string prefix_, suffix_;  ///< of characters that do not start, and that end, a pre-token
  bool fuse_unknown_, ignore_merges_;
};

std::string text_or_nothing(JsonReader& json, const std::string& key) {
  const auto field = present(json, key);
  if (field && field->as_string().size() > kMaxPatternBytes)
    field->fail(fmt::format("expected a text of at most {} bytes", kMaxPatternBytes));
  return field ? field->as_string() : std::string();
}

BpeModel::BpeModel(JsonReader& json)
    : vocabulary_(json.at("vocab")),
      prefix_(text_or_nothing(json, "continuing_subword_prefix")),
      suffix_(text_or_nothing(json, "end_of_word_suffix")),
      fuse_unknown_(json.boolean("fuse_unk", false)),
      ignore_merges_(json.boolean("ignore_merges", false)) {
  if (const auto token = present(json, "unk_token")) {
    unknown_ = vocabulary_.id(token->as_string());
    if (!unknown_) token->fail("expected a token of the vocabulary");
  }
  if (const auto dropout = present(json, "dropout"); dropout && dropout->as_number() != 0)
    dropout->fail("dropout is for training; expected null or 0");
  if (json.boolean("byte_fallback", false)) byte_tokens_ = vocabulary_.byte_tokens();
  read_merges(json.at("merges"));
}

void BpeModel::read_merges(const JsonReader& json) {
  if (!json.is_array()) json.fail("expected an array of merges");
  merges_ = Merges(json.json().size());
  int32_t rank = 0;
  for (const Json& entry : json.json()) {
    const auto here = [&] { return JsonReader(entry, fmt::format("{}[{}]", json.where(), rank)); };
    std::string left, right;
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      left = entry[0].get<std::string>();
      right = entry[1].get<std::string>();
    } else if (const size_t space = entry.is_string()
                                        ? entry.get_ref<const std::string&>().find(' ')
                                        : std::string::npos;
               space != std::string::npos) {
      left = entry.get_ref<const std::string&>().substr(0, space);
      right = entry.get_ref<const std::string&>().substr(space + 1);
    } else {
      here().fail("expected two tokens, as [\"a\", \"b\"] or \"a b\"");
    }
    if (right.size() < prefix_.size()) here().fail("expected the second token to have the prefix");
    const auto left_id = vocabulary_.id(left), right_id = vocabulary_.id(right);
    const auto merged = vocabulary_.id(left + right.substr(prefix_.size()));
    if (!left_id || !right_id || !merged)
      here().fail("expected tokens of the vocabulary that make another of its tokens");
    merges_.add(*left_id, *right_id, rank++, *merged);
  }
}

void BpeModel::tokenize(std::string_view pre_token, TokenIds& ids) const {
  if (ignore_merges_)
    if (const auto id = vocabulary_.id(pre_token)) return ids.push_back(*id);
  Symbols symbols;
  symbols.reserve(pre_token.size());
  first_symbols(pre_token, symbols);
  merges_.apply(symbols);
  for (const Symbol& symbol : symbols)
    if (symbol.id != Symbol::kMergedAway) ids.push_back(symbol.id);
}

void BpeModel::first_symbols(std::string_view pre_token, Symbols& symbols) const {
  const auto add = [&](TokenId id) { symbols.push_back({id}); };
  bool unknown_pending = false;  // so that a run of unknown characters can become one token
  std::string decorated;
  for (size_t begin = 0, end = 0; begin < pre_token.size(); begin = end) {
    end = begin + utf8_length(static_cast<unsigned char>(pre_token[begin]));
    std::string_view text = pre_token.substr(begin, end - begin);
    if ((begin > 0 && !prefix_.empty()) || (end == pre_token.size() && !suffix_.empty())) {
      decorated = begin > 0 ? prefix_ : std::string();
      decorated += text;
      if (end == pre_token.size()) decorated += suffix_;
      text = decorated;
    }
    if (const auto id = vocabulary_.id(text)) {
      if (unknown_pending) add(*unknown_);
      unknown_pending = false;
      add(*id);
    } else if (!add_as_bytes(text, symbols) && unknown_) {
      if (unknown_pending && !fuse_unknown_) add(*unknown_);
      unknown_pending = true;
    }
  }
  if (unknown_pending) add(*unknown_);
}

bool BpeModel::add_as_bytes(std::string_view text, Symbols& symbols) const {
  if (byte_tokens_.empty()) return false;
  const auto token_of = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(text.begin(), text.end(), [&](char byte) { return token_of(byte) >= 0; }))
    return false;
  for (const char byte : text) symbols.push_back({token_of(byte)});
  return true;
}

}  // namespace

std::unique_ptr<TokenModel> make_bpe(JsonReader& json) { return std::make_unique<BpeModel>(json); }

}  // namespace assay
