/// Bytes that were to be text of a known form, and are something else.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace assay {

/// The length of the UTF-8 character at the beginning of bytes that are not empty; 0 when there is
/// none (Unicode 15, table 3-7).
size_t character_length(std::string_view text);

/// Why the bytes are not UTF-8: "line 3: the byte 0xe8 is not UTF-8". Empty when they are.
std::string encoding_problem(std::string_view bytes);

/// Without the mark that some editors put before UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

/// What a file is that was to hold something else, and what to do: a pointer of git-lfs, an HTML
/// page, a pickle, GGUF. Empty when that is not known.
std::string what_it_is_instead(std::string_view bytes);

}  // namespace assay
