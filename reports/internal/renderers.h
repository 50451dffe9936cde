/// One function per output format; render_report() chooses.
#pragma once

#include <string>

#include "reports/internal/leaderboard.h"
#include "reports/internal/tables.h"

namespace assay {

/// "format": "assay-report", "version": 1; see reports/README.md.
Json report_json(const SweepResults& results, const Leaderboard& board);
std::string report_csv(const Leaderboard& board);
std::string report_markdown(const SweepResults& results, const Leaderboard& board);
std::string report_html(const SweepResults& results, const Leaderboard& board);
/// "12 methods rows · 3 expert sets · 9 tasks · 120 runs, 2 of them without a result".
std::string overview(const SweepResults& results, const Leaderboard& board);

}  // namespace assay
