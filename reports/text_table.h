/// Tables and sentences as text for a terminal.
#pragma once

#include <string>

#include "reports/internal/tables.h"

namespace assay {

/// Control characters as spaces: those of a name or a reason must not reach the terminal.
std::string printable(std::string text);

/// The text in lines of at most `width` columns, broken between words; longer words stand alone.
/// Lines after the first begin with `indent` spaces. Ends with a line break.
std::string folded(const std::string& text, size_t width, size_t indent = 0);

/// All of the table's columns, aligned with spaces. Those that do not fit into `width` stand below,
/// again behind the names of the rows.
std::string text_table(const Table& table, size_t width);

}  // namespace assay
