/// Formats tables and sentences as text for a terminal.
#pragma once

#include <string>

#include "reports/internal/tables.h"

namespace assay {

/// Replaces control characters by spaces: names and reasons are untrusted.
std::string printable(std::string text);

/// Wraps the text into lines of at most `width` columns, between words; longer words get a line of
/// their own. Lines after the first begin with `indent` spaces. Ends with a line break.
std::string folded(const std::string& text, size_t width, size_t indent = 0);

/// All of the table's columns, aligned with spaces. Columns beyond `width` follow in further blocks
/// below, with the row names repeated.
std::string text_table(const Table& table, size_t width);

}  // namespace assay
