/// Tokens that are found in a text before anything else happens to it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/models/token_model.h"

namespace assay {

struct AddedToken {
  TokenId id;
  std::string content;
  bool special = false;                          ///< left out when decoding without special tokens
  bool single_word = false;                      ///< only where no word goes on beside it
  bool left_strip = false, right_strip = false;  ///< takes in the white space beside it
  bool normalized = true;                        ///< looked for after normalization

  /// With the id from "id".
  static AddedToken read(JsonReader json);
};

/// UserError naming the place when it is no id.
TokenId read_token_id(const JsonReader& json);

class AddedTokens {
 public:
  /// A token of the same content that is there already stays, or gets the new flags.
  void add(const AddedToken& token, bool overrule = false);
  /// Makes a token special where there is one of this content; whether there is.
  bool make_special(std::string_view content);
  /// To be called once, after the last add(): contents are normalized as texts are.
  void prepare(const Normalizer* normalizer);

  /// A part of a text: a token, or what lies between tokens.
  struct Part {
    size_t begin, end;
    const AddedToken* token;  ///< null between tokens
  };
  /// The parts of a text, before it is normalized or after.
  std::vector<Part> split(std::string_view text, bool normalized) const;

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(TokenId id) const;
  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  ByteTrie raw_, normal_;  ///< contents to places in tokens_
  bool any_raw_ = false, any_normal_ = false;
  std::unordered_map<TokenId, size_t> by_id_;
  TextMap<size_t> by_content_;
};

}  // namespace assay
