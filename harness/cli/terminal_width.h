/// Lines for people, no wider than the terminal.
#pragma once

#include <cstddef>
#include <string>

#include "harness/core/json.h"

namespace assay::cli {

/// The terminal's width in columns; 80 where standard output is no terminal or does not say.
size_t terminal_width();

/// Prints one line; what does not fit goes on below, as far in as the line begins.
void print_folded(const std::string& line);

/// JSON on one line with spaces, where it can be folded.
std::string spaced(const Json& value);

}  // namespace assay::cli
