/// SentencePiece's normalizer.
#pragma once

#include <string>
#include <string_view>

#include "harness/tokenizer/models/byte_trie.h"
#include "harness/tokenizer/sentencepiece/piece_file.h"
#include "harness/tokenizer/unicode/charsmap.h"

namespace assay {

/// U+2581, which replaces a space.
inline constexpr std::string_view kSpaceSymbol = "\u2581";

class PieceNormalizer {
 public:
  /// Whether the space symbol is prepended to a text (add_dummy_prefix).
  enum class Prefix {
    kNever,
    kAlways,       ///< even before a text that starts with a space
    kWhereMissing  ///< only before a text that does not start with one
  };
  /// DataError naming the file when its table of replacements is damaged. `user` contains the
  /// user-defined pieces, which are not normalized.
  PieceNormalizer(const PieceFile& pieces, const ByteTrie& user, const fs::path& file);

  /// DataError when the text grows beyond max_output_bytes().
  std::string apply(std::string_view text, Prefix prefix) const;

 private:
  /// The replacement of the start of the text, and the length replaced.
  Charsmap::Found next(std::string_view text, StepLimit& limit) const;

  Charsmap map_;
  const ByteTrie* user_;
  bool single_spaces_;
  std::string_view space_;
};

}  // namespace assay
