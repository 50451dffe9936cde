#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/models/token_model.h"
#include "harness/tokenizer/models/unigram_lattice.h"

namespace assay {
namespace {

class UnigramModel : public TokenModel {
 public:
  explicit UnigramModel(JsonReader& json);
  void tokenize(std::string_view pre_token, TokenIds& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unknown() const override { return unknown_; }

 private:
  void add_unknown(std::string_view text, TokenIds& ids) const;

  Vocabulary vocabulary_;
  UnigramLattice lattice_;
  std::optional<TokenId> unknown_;
  std::vector<TokenId> byte_tokens_;  ///< empty: no byte fallback
};

UnigramModel::UnigramModel(JsonReader& json) {
  double least = std::numeric_limits<double>::infinity();
  const JsonReader vocab = json.at("vocab");
  TokenId next = 0;
  for (const JsonReader& entry : vocab.elements()) {
    const Json& pair = entry.json();
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_number())
      entry.fail("expected a token and its score");
    const auto token = pair[0].get<std::string>();
    const auto score = pair[1].get<double>();
    least = std::min(least, score);
    if (!token.empty()) lattice_.add(token, next, score);
    vocabulary_.add(token, next++);
  }
  if (next == 0) vocab.fail("expected tokens");
  if (const auto unknown = present(json, "unk_id")) {
    const int64_t id = unknown->as_integer();
    if (id < 0 || id >= next) unknown->fail("expected an id of the vocabulary");
    unknown_ = static_cast<TokenId>(id);
    lattice_.set_unknown(*unknown_, least - kUnknownPenalty);
  }
  if (json.boolean("byte_fallback", false)) byte_tokens_ = vocabulary_.byte_tokens();
}

void UnigramModel::tokenize(std::string_view pre_token, TokenIds& ids) const {
  for (const TokenPart& part : lattice_.best(pre_token))
    if (part.id == unknown_)
      add_unknown(pre_token.substr(part.begin, part.end - part.begin), ids);
    else
      ids.push_back(part.id);
}

void UnigramModel::add_unknown(std::string_view text, TokenIds& ids) const {
  if (const auto id = vocabulary_.id(text)) return ids.push_back(*id);
  const auto token_of = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  const bool in_bytes =
      !byte_tokens_.empty() &&
      std::all_of(text.begin(), text.end(), [&](char byte) { return token_of(byte) >= 0; });
  if (!in_bytes) return ids.push_back(*unknown_);
  for (const char byte : text) ids.push_back(token_of(byte));
}

}  // namespace

std::unique_ptr<TokenModel> make_unigram(JsonReader& json) {
  return std::make_unique<UnigramModel>(json);
}

}  // namespace assay
