/// The report of a sweep in several formats, which all print the same numbers.
#pragma once

#include <string>

#include "reports/internal/leaderboard.h"

namespace assay {

enum class ReportFormat { kHtml, kMarkdown, kCsv, kJson };

/// HTML: one self-contained file that needs no network. Markdown: the same tables. CSV: one line
/// per leaderboard row and metric. JSON: everything, at full precision.
std::string render_report(const SweepResults& results, ReportFormat format,
                          const ReportOptions& options = {});

/// The summary and the leaderboard as plain text, in lines of at most `width` columns unless a
/// single word or number is wider.
std::string leaderboard_text(const SweepResults& results, const ReportOptions& options = {},
                             size_t width = 80);

}  // namespace assay
