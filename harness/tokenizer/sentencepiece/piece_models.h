/// SentencePiece's two models, which segment a normalized text.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/models/unigram_lattice.h"
#include "harness/tokenizer/sentencepiece/piece_file.h"

namespace assay {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  /// From left to right. Characters that no piece covers have the id of the unknown piece.
  virtual std::vector<TokenPart> segment(std::string_view text) const = 0;
};

/// `user` contains the user-defined pieces and must outlive the model. DataError naming the file
/// when the pieces need an unsupported feature.
std::unique_ptr<PieceModel> make_unigram_pieces(const PieceFile& file, TokenId unknown);
std::unique_ptr<PieceModel> make_bpe_pieces(const PieceFile& pieces, TokenId unknown,
                                            const ByteTrie& user, const fs::path& file);

}  // namespace assay
