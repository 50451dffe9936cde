/// Regular expressions as tokenizer files write them: Oniguruma's dialect, run by PCRE2.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace assay {

/// Oniguruma's pattern in PCRE2's words: \s, \w and their opposites stand for the same characters.
/// `where` names the pattern in messages. UserError for what cannot be said: classes inside
/// classes, intersections of classes.
std::string pcre_pattern(std::string_view pattern, const std::string& where);

/// Unicode-aware, on valid UTF-8; ^ and $ match at every line. Thread-safe.
class Regex {
 public:
  /// UserError with the place in the pattern when it is not one.
  Regex(std::string_view pattern, const std::string& where);

  /// Calls found(begin, end) for all matches, from left to right. DataError when that takes far
  /// longer than for the expressions in use.
  void each(std::string_view text, const std::function<void(size_t, size_t)>& found) const;

 private:
  std::shared_ptr<const void> code_;
};

}  // namespace assay
