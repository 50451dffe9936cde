/// How to tell a report of Assay, which may be replaced, from any other file.
#pragma once

#include <string_view>

namespace assay {

/// True for what render_report() gives in any of its formats, and for what earlier versions gave.
bool is_report(std::string_view text);

}  // namespace assay
