/// White space as Python's str defines it, in UTF-8: the scoring rules of other programs depend on
/// it.
#pragma once

#include <string_view>

namespace assay {

/// The length in bytes of one white space character at the text's start or end; 0 when there is
/// none.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

/// The pieces between runs of white space; an empty piece counts where the text begins or ends with
/// white space: len(re.split(r"\s+", text)).
size_t count_words(std::string_view text);

/// The text without white space at both ends, as Python's strip().
std::string_view stripped(std::string_view text);

}  // namespace assay
