/// Bytes that were to be text of a known form, and are something else.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Why the bytes are not UTF-8: "line 3: the byte 0xe8 is not UTF-8". Empty when they are.
std::string encoding_problem(std::string_view bytes);

/// Without the mark that some editors put before UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

/// What a file is that was to hold something else, and what to do: a pointer of git-lfs, an HTML
/// page, a pickle, GGUF. Empty when that is not known.
std::string foreign_content(std::string_view bytes);

}  // namespace assay
