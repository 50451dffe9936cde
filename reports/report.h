/// The report of a sweep in the formats that are offered. All print the same numbers.
#pragma once

#include <string>

#include "results/store.h"

namespace assay {

enum class ReportFormat { kHtml, kMarkdown, kCsv, kJson };

/// HTML: one self-contained file that needs no network. Markdown: the same tables. CSV: one line
/// per leaderboard row and metric. JSON: everything, at full precision.
std::string render_report(const SweepResults& results, ReportFormat format);

/// The leaderboard as aligned plain text, for a terminal.
std::string leaderboard_text(const SweepResults& results);

}  // namespace assay
