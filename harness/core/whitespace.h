/// White space as Python's str knows it, in UTF-8: what scoring rules of others are written in.
#pragma once

#include <string_view>

namespace assay {

/// Bytes of the one white space character that the text begins or ends with; 0 when it does not.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

/// The pieces between runs of white space; an empty piece counts where the text begins or ends with
/// white space: len(re.split(r"\s+", text)).
size_t count_words(std::string_view text);

/// Without white space at both ends.
std::string_view stripped(std::string_view text);

}  // namespace assay
