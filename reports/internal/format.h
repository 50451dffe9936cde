/// Formatting of numbers and text, for all output formats.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reports/internal/costs.h"
#include "reports/internal/statistics.h"

namespace assay {

/// The text of a value that was not measured.
inline constexpr std::string_view kNotAvailable = "–";

/// 0.8342 as "83.4".
std::string percent_text(std::optional<double> fraction);
/// A score of that metric: in % when it is a fraction, else with four significant digits.
std::string score_text(std::string_view metric, double value);
/// "83.4 ±1.2", "83.4" without an interval; "12.31 ±0.42" for a metric that is not a fraction.
std::string estimate_text(const Estimate& estimate);
/// With its sign: "+1.3 ±0.8".
std::string difference_text(const Estimate& estimate);
/// The confidence interval and the range of an estimate, "81.0…85.2"; kNotAvailable when there is
/// none.
std::string ci_text(const Estimate& estimate);
std::string range_text(const Estimate& estimate);
/// The text of FLOPs that could not be counted, and of an own peak where only the peak of the whole
/// process is known.
inline constexpr std::string_view kUnknown = "n/a";

/// "3.42 s", "12.0 MiB", "1.25 G", "600".
std::string cost_text(std::optional<double> value, CostUnit unit);
/// One field of a cost.
std::string cost_text(const CostValues& values, const CostField& field);

/// One unit for all numbers of a column: a value is shown divided by `size`, without the name.
struct Scale {
  double size = 1;
  std::string name;  ///< "ms", "MiB", "G"; empty for plain numbers
};
/// The greatest unit in which the median of the known values, zeros aside, is at least 1.
Scale common_scale(std::vector<double> values, CostUnit unit);
/// Three significant digits, or all those before the point.
std::string scaled_text(std::optional<double> value, const Scale& scale, CostUnit unit);
/// "2026-01-02T03:04:05.678Z" as "2026-01-02 03:04 UTC".
std::string time_text(const std::string& iso);
/// The first digits of a hash, enough to identify it.
std::string short_hash(const std::string& hash);
/// "density=0.2, trim=model"; "defaults" for none.
std::string parameters_text(const Json& parameters);

/// One table cell: without line breaks, and with Markdown and HTML markup escaped.
std::string escape_markdown(std::string_view text);
/// Quoted where necessary (RFC 4180).
std::string escape_csv(std::string_view text);

}  // namespace assay
