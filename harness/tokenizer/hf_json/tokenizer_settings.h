/// Tokenizer settings outside the tokenizer's own file: tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json, and settings in config.json and
/// generation_config.json.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/model_texts.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/tokenizer/hf_json/added_tokens.h"
#include "harness/tokenizer/hf_json/tokenizer_class.h"

namespace assay {

struct TokenizerSettings {
  /// Missing files are ignored. UserError when one is invalid. The content of the tokenizer's own
  /// files is hashed by `hasher`.
  static TokenizerSettings read(const ModelTexts& files, Hasher& hasher);

  /// By "bos_token", "eos_token" ...; nullopt: a file sets it to null.
  std::map<std::string, std::optional<AddedToken>> named;
  std::vector<AddedToken> more_special;  ///< other special tokens, without ids
  std::optional<int64_t> max_length;
  std::optional<bool> add_bos, add_eos, add_prefix_space, legacy;
  std::optional<bool> lower_case, strip_accents, chinese_chars;  ///< of BERT
  std::vector<AddedToken> added;
  /// Whether `added` takes precedence over the tokenizer's own file for the same tokens.
  bool added_overwrite = false;
  bool any_file = false;  ///< any besides the tokenizer's own file

  std::string tokenizer_class, model_type;  ///< as the files name them; may be empty
  TokenIds end_ids;                         ///< of config.json and generation_config.json
  std::optional<int64_t> vocabulary;        ///< config.json's vocab_size

  /// The name in the files, else the class's.
  std::optional<std::string> special(const std::string& key, std::string_view of_class) const;
  /// All special tokens of the files and of the class; without ids.
  std::vector<AddedToken> special_tokens(const TokenizerClass& hf_class) const;
};

/// The part of a Tokenizer that depends on its settings alone.
class ConfiguredTokenizer : public Tokenizer {
 public:
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  std::optional<TokenId> pad() const override { return pad_; }
  std::optional<TokenId> unknown() const override { return unknown_; }
  TokenIds end_ids() const override { return end_ids_; }
  size_t ends_after_text() const override;
  std::optional<int64_t> max_length() const override { return max_length_; }
  std::string hash() const override { return hash_; }
  const InputTemplate& input_template(bool pair) const override;

 protected:
  /// Looks up the special tokens with id(), which must work before. Keeps values where neither
  /// settings nor class name a token with an id.
  void configure(const TokenizerSettings& settings, const TokenizerClass& hf_class, Hasher& hasher);
  /// The template BOS, text, EOS; for a pair around each text.
  void add_bos_eos_template(bool bos, bool eos);

  std::optional<TokenId> bos_, eos_, pad_, unknown_;
  InputTemplate single_ = InputTemplate::plain(false);
  std::optional<InputTemplate> pair_ = InputTemplate::plain(true);  ///< absent: not defined

 private:
  TokenIds end_ids_;
  std::optional<int64_t> max_length_;
  std::string hash_;
};

}  // namespace assay
