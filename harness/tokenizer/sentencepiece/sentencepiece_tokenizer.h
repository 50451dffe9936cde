/// A tokenizer as a SentencePiece model file defines it.
#pragma once

#include "harness/tokenizer/hf_json/added_tokens.h"
#include "harness/tokenizer/hf_json/tokenizer_settings.h"
#include "harness/tokenizer/sentencepiece/piece_models.h"
#include "harness/tokenizer/sentencepiece/piece_normalizer.h"

namespace assay {

class SentencePieceTokenizer : public ConfiguredTokenizer {
 public:
  /// Special tokens around a text where tokenizer_config.json does not set them: `bos` before,
  /// `eos` after.
  struct SpecialTokens {
    bool bos, eos;
  };

  /// DataError when the file is not a SentencePiece model of a known kind. `hasher` hashes its
  /// bytes.
  SentencePieceTokenizer(const fs::path& file, SpecialTokens defaults,
                         const TokenizerSettings& settings, const TokenizerClass& hf_class,
                         Hasher& hasher);

  /// Special tokens (control pieces, the unknown piece and those of the settings) and added tokens
  /// are matched first; the text between them is encoded separately.
  TokenIds encode(std::string_view text, bool special) const override;
  std::string decode(const TokenIds& ids, bool skip_special) const override;
  int64_t size() const override { return size_; }
  std::optional<TokenId> id(std::string_view token) const override;
  std::string token(TokenId id) const override;

 private:
  void read_pieces(PieceFile pieces, const TokenizerSettings& settings,
                   const TokenizerClass& hf_class, const fs::path& file);
  void add_tokens(const TokenizerSettings& settings, const TokenizerClass& hf_class);
  void encode_text(std::string_view text, bool at_start, TokenIds& ids) const;
  /// `at_start`: it is the start of the text.
  std::string decode_run(const std::vector<TokenId>& ids, bool at_start) const;
  bool is_piece(TokenId id) const { return id >= 0 && id < vocabulary_.size(); }
  PieceFile::Kind kind(TokenId id) const { return kinds_[static_cast<size_t>(id)]; }

  Vocabulary vocabulary_;
  std::vector<PieceFile::Kind> kinds_;  ///< by id
  ByteTrie user_;                       ///< the user-defined pieces
  std::unique_ptr<PieceNormalizer> normalizer_;
  std::unique_ptr<PieceModel> model_;
  std::vector<TokenId> byte_tokens_;  ///< empty: no byte fallback
  std::string unknown_surface_;
  PieceNormalizer::Prefix prefix_ = PieceNormalizer::Prefix::kNever;
  bool prefix_parts_ = true;  ///< every part between special tokens has one, not the first alone
  bool strip_first_space_ = false, strip_all_first_spaces_ = false;  ///< when decoding
  AddedTokens added_;
  int64_t size_ = 0;
};

}  // namespace assay
