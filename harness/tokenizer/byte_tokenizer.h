/// The tokenizer of models without tokenizer files: every byte is a token, and its value is the id.
#pragma once

#include "harness/tokenizer/hf_json/tokenizer_settings.h"

namespace assay {

class ByteTokenizer : public ConfiguredTokenizer {
 public:
  ByteTokenizer(const TokenizerSettings& settings, Hasher& hasher);

  TokenIds encode(std::string_view text, bool special) const override;
  std::string decode(const TokenIds& ids, bool skip_special) const override;
  int64_t size() const override { return 256; }
  /// Tokens are single bytes.
  std::optional<TokenId> id(std::string_view token) const override;
  std::string token(TokenId id) const override;
};

}  // namespace assay
