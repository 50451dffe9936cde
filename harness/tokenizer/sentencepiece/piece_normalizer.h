/// SentencePiece's own way to normalize a text.
#pragma once

#include <string>
#include <string_view>

#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/sentencepiece/piece_file.h"
#include "harness/tokenizer/unicode/charsmap.h"

namespace assay {

/// U+2581, which stands for a space.
inline constexpr std::string_view kSpaceSign = "\u2581";

class PieceNormalizer {
 public:
  /// Where a text gets a sign of a space that it does not have.
  enum class Prefix {
    kNever,
    kAlways,       ///< before what begins with a space, too
    kWhereMissing  ///< only before what does not begin with one
  };
  /// DataError naming the file when its table of replacements is broken. `user` holds the pieces
  /// that the user defined: they are left as they are.
  PieceNormalizer(const PieceFile& pieces, const ByteTrie& user, const fs::path& file);

  /// DataError when the text grows beyond measure.
  std::string apply(std::string_view text, Prefix prefix) const;

 private:
  /// What the text begins with becomes, and how long that was.
  Charsmap::Found next(std::string_view text, StepLimit& limit) const;

  Charsmap map_;
  const ByteTrie* user_;
  bool single_spaces_;
  std::string_view space_;
};

}  // namespace assay
