/// Recognises reports of Assay, which may be overwritten.
#pragma once

#include <string_view>

namespace assay {

/// True for the output of render_report() in any of its formats, of this and earlier versions.
bool is_report(std::string_view text);

}  // namespace assay
