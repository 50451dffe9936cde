/// SentencePiece's model files (tokenizer.model, spiece.model).
#pragma once

#include <string>
#include <vector>

#include "harness/core/files.h"

namespace assay {

/// The fields of a model file's message (sentencepiece_model.proto) that tokenizing needs.
struct PieceFile {
  enum class Kind { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };
  struct Piece {
    std::string text;
    float score = 0;
    Kind kind = Kind::kNormal;
  };
  enum class Model { kUnigram = 1, kBpe = 2 };

  std::vector<Piece> pieces;  ///< by id
  Model model = Model::kUnigram;
  bool byte_fallback = false;
  std::string unknown_surface = " \u2047 ";  ///< the text of an unknown token
  std::string bos = "<s>", eos = "</s>", pad = "<pad>";
  std::string charsmap;  ///< bytes for Charsmap
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;

  /// DataError naming the file when the bytes are not such a message, or need an unsupported
  /// feature.
  static PieceFile read(const std::string& bytes, const fs::path& file);
};

}  // namespace assay
