/// UTF-8 validation, and hints about files of an unexpected format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace assay {

/// The length in bytes of the UTF-8 character at the start of a text that is not empty; 0 when it
/// is invalid (Unicode 15, table 3-7).
size_t character_length(std::string_view text);

/// Why the bytes are not UTF-8: "line 3: the byte 0xe8 is not UTF-8". Empty when they are.
std::string encoding_problem(std::string_view bytes);

/// The text without the byte order mark that some editors put before UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

/// A hint for a file of the wrong format: what it is (a git-lfs pointer, an HTML page, a pickle,
/// GGUF) and what to do. Empty when the format is not recognised.
std::string wrong_format_hint(std::string_view bytes);

}  // namespace assay
