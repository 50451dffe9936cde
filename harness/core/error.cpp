#include "harness/core/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "harness/core/standard_streams.h"

namespace assay {
namespace {

// Levenshtein distance; names are short, so the quadratic table costs nothing.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(const std::string& name, const std::vector<std::string>& candidates) {
  if (candidates.empty()) return "";
  const auto nearest = std::min_element(candidates.begin(), candidates.end(),
                                        [&](const std::string& a, const std::string& b) {
                                          return edit_distance(name, a) < edit_distance(name, b);
                                        });
  std::string text;
  if (edit_distance(name, *nearest) <= std::max<size_t>(2, name.size() / 2))
    text += fmt::format(" Did you mean '{}'?", *nearest);
  constexpr size_t kMaxListed = 40;
  const size_t listed = std::min(candidates.size(), kMaxListed);
  text +=
      fmt::format(" Known: {}{}.", fmt::join(candidates.begin(), candidates.begin() + listed, ", "),
                  listed < candidates.size() ? ", ..." : "");
  return text;
}

std::string unknown_name(const std::string& kind, const std::string& name, const std::string& where,
                         const std::vector<std::string>& candidates) {
  return fmt::format("unknown {} '{}' in {}.{}", kind, name, where, suggestion(name, candidates));
}

namespace detail {
void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  write_standard_error(
      fmt::format("assay: bug: {}:{}: {} does not hold. {}\n", file, line, condition, message));
  std::abort();
}
}  // namespace detail

}  // namespace assay
