/// Manual pages as plain text.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// The text of a page that is written with the macros of man(7): paragraphs are single lines with
/// an empty line between them, headings too; lines of examples stay as they are. Fonts, tables,
/// conditions and definitions of macros are left out. Empty for pages of mdoc(7).
std::string plain_text_of_man_page(std::string_view source);

}  // namespace assay
