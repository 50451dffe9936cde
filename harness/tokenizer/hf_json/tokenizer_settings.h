/// What stands beside a tokenizer's own file in a model's folder: tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json, and what config.json and generation_config.json say
/// about the tokenizer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/tokenizer/hf_json/added_tokens.h"
#include "harness/tokenizer/hf_json/tokenizer_class.h"

namespace assay {

struct TokenizerSettings {
  /// Files that are missing say nothing. UserError when one is broken. What was read of the
  /// tokenizer's own files goes into `hasher`.
  static TokenizerSettings read(const fs::path& folder, Hasher& hasher);

  /// By "bos_token", "eos_token" ...; nothing: a file says that there is none.
  std::map<std::string, std::optional<AddedToken>> named;
  std::vector<AddedToken> more_special;  ///< others that are special, without ids
  std::optional<int64_t> max_length;
  std::optional<bool> add_bos, add_eos, add_prefix_space, legacy;
  std::optional<bool> lower_case, strip_accents, chinese_chars;  ///< of BERT
  std::vector<AddedToken> added;
  /// Whether `added` says more than the tokenizer's own file about the same tokens.
  bool added_overrule = false;
  bool any_file = false;  ///< beside the tokenizer's own

  std::string tokenizer_class, model_type;  ///< as the files name them; may be empty
  TokenIds end_ids;                         ///< that config.json and generation_config.json name
  std::optional<int64_t> vocabulary;        ///< config.json's vocab_size

  /// As the files name it, else the class.
  std::optional<std::string> special(const std::string& key, std::string_view of_class) const;
  /// All that are special, as the files and the class name them; without ids.
  std::vector<AddedToken> special_tokens(const TokenizerClass& made_by) const;
};

/// The part of a Tokenizer that is settled by its settings.
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
  const Arrangement& arrangement(bool pair) const override;

 protected:
  /// Looks up the special tokens with id(), so it is called when that works. What is set already
  /// stays where the settings and the class are silent or name a token that has no id.
  void configure(const TokenizerSettings& settings, const TokenizerClass& made_by, Hasher& hasher);
  /// BOS, the text, EOS; of a pair each text so.
  void put_around(bool bos, bool eos);

  std::optional<TokenId> bos_, eos_, pad_, unknown_;
  Arrangement single_ = Arrangement::plain(false);
  std::optional<Arrangement> pair_ = Arrangement::plain(true);  ///< nothing: it is not defined

 private:
  TokenIds end_ids_;
  std::optional<int64_t> max_length_;
  std::string hash_;
};

}  // namespace assay
