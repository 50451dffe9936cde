/// Text in HTML.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// The text with `&`, `<`, `>` and both quotes as character references, those that Jinja's filter
/// `escape` writes: as content or in a quoted attribute it is what it was.
std::string escape_html(std::string_view text);

}  // namespace assay
