/// Unicode normalization forms and lower case.
#pragma once

#include <string>
#include <string_view>

namespace assay {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

std::string unicode_form(std::string_view text, UnicodeForm form);

/// Lower case character by character, without context rules.
std::string lower_case(std::string_view text);

}  // namespace assay
