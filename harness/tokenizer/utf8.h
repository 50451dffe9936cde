/// UTF-8 and the character properties that tokenizers need. Unless stated otherwise, text must be
/// valid UTF-8: call valid_utf8() first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "harness/core/text_encoding.h"

namespace assay {

/// A copy in which every invalid maximal subpart is replaced by U+FFFD: Unicode's recommendation
/// ("substitution of maximal subparts"), as in Rust and Python.
std::string valid_utf8(std::string_view bytes);

/// The character at `position`, which advances past it.
char32_t next_char(std::string_view text, size_t& position);
void append_utf8(std::string& text, char32_t c);
bool is_ascii(std::string_view text);

/// The last character that ends at `end` starts here.
size_t previous_char(std::string_view text, size_t end);

bool is_white_space(char32_t c);  ///< White_Space
bool is_punctuation(char32_t c);  ///< category P, or punctuation or symbol in ASCII
bool is_numeric(char32_t c);      ///< category N
bool is_mark(char32_t c);         ///< category M
bool is_nonspacing(char32_t c);   ///< category Mn
bool is_other(char32_t c);        ///< Cc, Cf, Co (unassigned ones are not counted)
bool is_word(char32_t c);         ///< \w of regular expressions: alphabetic, mark, digit, connector
bool is_cjk(char32_t c);          ///< the blocks of ideographs that BERT splits

}  // namespace assay
