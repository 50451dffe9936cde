/// UTF-8: the bytes of characters, validation, and hints about files of an unexpected format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace assay {

/// Bytes of the character that starts with `lead`, in valid UTF-8.
inline size_t utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// Whether a character of valid UTF-8 starts with this byte; others continue one.
inline bool starts_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

/// Of valid UTF-8.
size_t count_characters(std::string_view text);

/// Bytes that belong together.
struct Utf8Part {
  size_t size;  ///< at least 1
  bool whole;   ///< a character; else the longest part that could begin one, or a byte that cannot
};

/// The part at the beginning of bytes that are not empty (Unicode 15, table 3-7).
Utf8Part utf8_part(std::string_view text);

/// Why the bytes are not UTF-8: "line 3: the byte 0xe8 is not UTF-8". Empty when they are.
std::string encoding_problem(std::string_view bytes);

/// The text without the byte order mark that some editors put before UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

/// A hint for a file of the wrong format: what it is (a git-lfs pointer, an HTML page, a pickle,
/// GGUF) and what to do. Empty when the format is not recognised.
std::string wrong_format_hint(std::string_view bytes);

}  // namespace assay
