/// Texts as Python writes them.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// repr() of a float: 1e-05, 2.0, inf.
std::string python_float(double value);
/// repr() of a str, in UTF-8: 'it' or "it's".
std::string python_repr(std::string_view text);

}  // namespace assay
