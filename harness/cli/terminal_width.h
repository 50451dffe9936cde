/// Output wrapped to the width of the terminal.
#pragma once

#include <cstddef>
#include <string>

#include "harness/core/json.h"

namespace assay::cli {

/// The terminal's width in columns; 80 when standard output is not a terminal or its width is
/// unknown.
size_t terminal_width();

/// Prints one line, wrapped with the line's own indentation.
void print_folded(const std::string& line);

/// JSON on one line with spaces, at which it can be wrapped.
std::string spaced(const Json& value);

}  // namespace assay::cli
