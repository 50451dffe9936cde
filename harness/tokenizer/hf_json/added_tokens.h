/// Added tokens: matched in a text before any other stage.
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
  bool single_word = false;                      ///< only where no word character is adjacent
  bool left_strip = false, right_strip = false;  ///< also matches the adjacent white space
  bool normalized = true;                        ///< matched after normalization

  /// With the id from "id".
  static AddedToken read(JsonReader json);
};

/// UserError naming the place when it is not an id.
TokenId read_token_id(const JsonReader& json);

class AddedTokens {
 public:
  /// A known token of the same content is kept, or gets the new flags with `overwrite`.
  void add(const AddedToken& token, bool overwrite = false);
  /// Marks the token of this content as special. Returns false when there is none.
  bool make_special(std::string_view content);
  /// Call it once, after the last add(): contents are normalized as texts are.
  void prepare(const Normalizer* normalizer);

  /// A part of a text: an added token, or the text between two of them.
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
  ByteTrie raw_, normal_;  ///< contents to indices of tokens_
  bool any_raw_ = false, any_normal_ = false;
  std::unordered_map<TokenId, size_t> by_id_;
  TextMap<size_t> by_content_;
};

}  // namespace assay
