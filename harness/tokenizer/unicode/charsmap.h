/// SentencePiece's table of replacements ("precompiled_charsmap").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// Layout of the table's bytes: the size in bytes of a double-array trie (Darts-clone's layout,
/// 32-bit units), the trie, and the NUL-terminated texts that its values are offsets into.
class Charsmap {
 public:
  /// Replaces nothing.
  Charsmap() = default;
  /// Absent when the bytes are not such a table. Empty bytes are a table that replaces nothing.
  static std::optional<Charsmap> read(std::string_view bytes);

  struct Found {
    size_t length;          ///< bytes of the text that are replaced
    std::string_view with;  ///< their replacement
  };
  /// The shortest and the longest prefix of a text in the table. DataError when the table has an
  /// offset outside of itself.
  std::optional<Found> shortest(std::string_view text) const { return search(text, true); }
  std::optional<Found> longest(std::string_view text) const { return search(text, false); }

 private:
  std::optional<Found> search(std::string_view text, bool first) const;
  uint32_t offset(uint32_t node) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace assay
