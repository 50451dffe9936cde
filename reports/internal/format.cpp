#include "reports/internal/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/core/metrics.h"

namespace assay {
namespace {

std::string seconds_text(double s) {
  if (s == 0) return "0 s";
  if (s < 1e-3) return fmt::format("{:.3g} ms", s * 1e3);
  if (s < 1) return fmt::format("{:.0f} ms", s * 1e3);
  if (s < 100) return fmt::format("{:.2f} s", s);
  if (s < 7200) return fmt::format("{:.1f} min", s / 60);
  return fmt::format("{:.1f} h", s / 3600);
}

// Three significant digits with a prefix for each power of `step`.
std::string scaled_text(double value, double step, const std::array<const char*, 6>& units) {
  size_t power = 0;
  while (value >= step && power + 1 < units.size()) {
    value /= step;
    ++power;
  }
  const int digits = power == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, units[power]);
}

std::string plain_text(double value) { return fmt::format("{:#.4g}", value); }

std::string number_text(const Estimate& estimate, bool with_sign) {
  if (!estimate.value) return std::string(kNotAvailable);
  const double scale = estimate.fraction ? 100 : 1;
  const double value = *estimate.value * scale;
  const auto text = [&](double number) {
    return estimate.fraction ? fmt::format("{:.1f}", number) : plain_text(number);
  };
  std::string shown = text(value);
  // A difference that is printed as zero has no sign.
  if (with_sign && shown.find_first_of("123456789") == std::string::npos)
    shown = text(0);
  else if (with_sign && !std::signbit(value))
    shown = fmt::format("+{}", shown);
  if (!estimate.ci) return shown;
  return fmt::format("{} ±{}", shown, text((estimate.ci->high - estimate.ci->low) / 2 * scale));
}

std::string interval_text(const std::optional<Interval>& interval, bool fraction) {
  if (!interval) return std::string(kNotAvailable);
  const auto text = [&](double end) { return fraction ? percent_text(end) : plain_text(end); };
  return text(interval->low) + "…" + text(interval->high);
}

}  // namespace

std::string percent_text(std::optional<double> fraction) {
  return fraction ? fmt::format("{:.1f}", *fraction * 100) : std::string(kNotAvailable);
}

std::string score_text(std::string_view metric, double value) {
  return is_fraction(metric) ? percent_text(value) : plain_text(value);
}

std::string estimate_text(const Estimate& estimate) { return number_text(estimate, false); }

std::string difference_text(const Estimate& estimate) { return number_text(estimate, true); }

std::string ci_text(const Estimate& estimate) {
  return interval_text(estimate.ci, estimate.fraction);
}

std::string range_text(const Estimate& estimate) {
  return interval_text(estimate.spread, estimate.fraction);
}

std::string cost_text(std::optional<double> value, CostUnit unit) {
  if (!value) return std::string(unit == CostUnit::kFlops ? kUnknown : kNotAvailable);
  switch (unit) {
    case CostUnit::kSeconds:
      return seconds_text(*value);
    case CostUnit::kBytes:
      return scaled_text(*value, 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB"});
    case CostUnit::kFlops:
      return scaled_text(*value, 1000, {"", " k", " M", " G", " T", " P"});
    case CostUnit::kCount:
      break;
  }
  return fmt::format("{:.0f}", *value);
}

std::string cost_text(const CostValues& values, const CostField& field) {
  const auto value = cost_value(values, field.key);
  const bool whole_alone = !value && cost_value(values, field.whole);
  return whole_alone ? std::string(kUnknown) : cost_text(value, field.unit);
}

Scale common_scale(std::vector<double> values, CostUnit unit) {
  values.erase(std::remove(values.begin(), values.end(), 0.0), values.end());
  if (values.empty() || unit == CostUnit::kCount) return {};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  const double median = *middle;
  if (unit == CostUnit::kSeconds) {
    if (median < 1) return {1e-3, "ms"};
    if (median < 100) return {1, "s"};
    return median < 7200 ? Scale{60, "min"} : Scale{3600, "h"};
  }
  const bool bytes = unit == CostUnit::kBytes;
  static constexpr std::array kBytes{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  static constexpr std::array kCounts{"", "k", "M", "G", "T", "P"};
  const double step = bytes ? 1024 : 1000;
  Scale scale;
  size_t power = 0;
  while (median >= scale.size * step && power + 1 < kBytes.size()) {
    scale.size *= step;
    ++power;
  }
  scale.name = bytes ? kBytes[power] : kCounts[power];
  return scale;
}

std::string scaled_text(std::optional<double> value, const Scale& scale, CostUnit unit) {
  if (!value) return cost_text(value, unit);
  const double shown = *value / scale.size;
  if (shown == 0 || shown >= 100 || (scale.size == 1 && unit != CostUnit::kSeconds))
    return fmt::format("{:.0f}", shown);
  return shown >= 1 ? fmt::format("{:.{}f}", shown, shown >= 10 ? 1 : 2)
                    : fmt::format("{:#.2g}", shown);
}

std::string time_text(const std::string& iso) {
  constexpr size_t kDate = 10, kMinutes = 16;
  if (iso.size() < kMinutes) return iso;
  return fmt::format("{} {} UTC", iso.substr(0, kDate),
                     iso.substr(kDate + 1, kMinutes - kDate - 1));
}

std::string short_hash(const std::string& hash) { return hash.substr(0, 12); }

std::string parameters_text(const Json& parameters) {
  if (parameters.empty()) return "defaults";
  std::string text;
  for (const auto& [name, value] : parameters.items())
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name,
                        value.is_string() ? value.get<std::string>() : canonical(value));
  return text;
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r')
      out += ' ';
    else if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (std::string_view("\\|*`[]").find(c) != std::string_view::npos)
      out += {'\\', c};
    else
      out += c;
  }
  return out;
}

std::string escape_csv(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace assay
