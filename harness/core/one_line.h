/// Text for one line of a terminal.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// The first `width` characters of a text in UTF-8, with spaces for control characters.
std::string one_line(std::string_view text, size_t width);

}  // namespace assay
