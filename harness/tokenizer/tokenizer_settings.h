/// What stands beside a tokenizer's own file in a model's folder: tokenizer_config.json,
/// special_tokens_map.json and added_tokens.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/tokenizer/added_tokens.h"

namespace assay {

struct TokenizerSettings {
  /// Files that are missing say nothing. UserError when one is broken. What was read goes into
  /// `hasher`.
  static TokenizerSettings read(const fs::path& folder, Hasher& hasher);

  std::optional<std::string> bos, eos, pad, unknown;
  std::optional<int64_t> max_length;
  std::optional<bool> add_bos, add_eos;
  std::vector<AddedToken> added;
};

/// The part of a Tokenizer that is settled by its settings.
class ConfiguredTokenizer : public Tokenizer {
 public:
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  std::optional<TokenId> pad() const override { return pad_; }
  std::optional<TokenId> unknown() const override { return unknown_; }
  std::optional<int64_t> max_length() const override { return max_length_; }
  std::string hash() const override { return hash_; }
  const Arrangement& arrangement(bool pair) const override;

 protected:
  /// Looks up the special tokens with id(), so it is called when that works. What is set already
  /// stays where the settings are silent or name a token that has no id.
  void configure(const TokenizerSettings& settings, const Hasher& hasher);
  /// BOS, the text, EOS; of a pair each text so.
  void put_around(bool bos, bool eos);

  std::optional<TokenId> bos_, eos_, pad_, unknown_;
  Arrangement single_ = Arrangement::plain(false);
  std::optional<Arrangement> pair_ = Arrangement::plain(true);  ///< nothing: it is not defined

 private:
  std::optional<int64_t> max_length_;
  std::string hash_;
};

}  // namespace assay
