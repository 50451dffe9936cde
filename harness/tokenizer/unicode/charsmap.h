/// SentencePiece's table of replacements ("precompiled_charsmap").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// The table's bytes are: the size in bytes of a double-array trie (Darts-clone's layout, 32-bit
/// units), the trie, and the texts that its values point into, each ended by a NUL.
class Charsmap {
 public:
  /// Replaces nothing.
  Charsmap() = default;
  /// Nothing when the bytes are no such table. No bytes are the table that replaces nothing.
  static std::optional<Charsmap> read(std::string_view bytes);

  struct Found {
    size_t length;          ///< bytes of the text that are replaced
    std::string_view with;  ///< what they become
  };
  /// The shortest and the longest beginning of a text that the table holds. DataError when the
  /// table points outside of itself.
  std::optional<Found> shortest(std::string_view text) const { return search(text, true); }
  std::optional<Found> longest(std::string_view text) const { return search(text, false); }

 private:
  std::optional<Found> search(std::string_view text, bool first) const;
  uint32_t offset(uint32_t node) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace assay
