/// How wide lines for people may be.
#pragma once

#include <cstddef>

namespace assay::cli {

/// The terminal's width in columns; 80 where standard output is no terminal or does not say.
size_t terminal_width();

}  // namespace assay::cli
