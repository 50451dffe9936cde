/// SentencePiece's own way to normalize a text.
#pragma once

#include <string>
#include <string_view>

#include "harness/tokenizer/byte_trie.h"
#include "harness/tokenizer/charsmap.h"
#include "harness/tokenizer/piece_file.h"

namespace assay {

/// U+2581, which stands for a space.
inline constexpr std::string_view kSpaceSign = "\u2581";

class PieceNormalizer {
 public:
  /// DataError naming the file when its table of replacements is broken. `user` holds the pieces
  /// that the user defined: they are left as they are.
  PieceNormalizer(const PieceFile& pieces, const ByteTrie& user, const fs::path& file);

  std::string apply(std::string_view text) const;

 private:
  /// What the text begins with becomes, and how long that was.
  Charsmap::Found next(std::string_view text) const;

  Charsmap map_;
  const ByteTrie* user_;
  bool add_prefix_, single_spaces_;
  std::string_view space_;
};

}  // namespace assay
