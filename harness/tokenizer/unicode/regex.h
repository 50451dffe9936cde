/// Regular expressions of tokenizer files: Oniguruma's dialect, matched by PCRE2.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace assay {

/// Translates a pattern from Oniguruma to PCRE2: \s, \w and their complements match the same
/// characters. `where` names the pattern in messages. UserError for what PCRE2 lacks: nested
/// character classes, and intersections of classes.
std::string pcre_pattern(std::string_view pattern, const std::string& where);

/// Unicode-aware, on valid UTF-8; ^ and $ match at every line. Thread-safe.
class Regex {
 public:
  /// UserError with the position when the pattern is not a regular expression.
  Regex(std::string_view pattern, const std::string& where);

  /// Calls found(begin, end) for all matches, from left to right. DataError on catastrophic
  /// backtracking.
  void each(std::string_view text, const std::function<void(size_t, size_t)>& found) const;

 private:
  std::shared_ptr<const void> code_;
};

}  // namespace assay
