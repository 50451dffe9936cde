/// The pattern of Split and Replace: {"String": "..."} or {"Regex": "..."}.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "harness/core/json.h"
#include "harness/tokenizer/unicode/regex.h"

namespace assay {

class TextPattern {
 public:
  explicit TextPattern(JsonReader json);

  /// Calls found(begin, end) for all matches, from left to right.
  void each(std::string_view text, const std::function<void(size_t, size_t)>& found) const;
  /// The text with every match replaced. DataError when it grows beyond `max_bytes`.
  std::string replace(std::string_view text, std::string_view content, size_t max_bytes) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

}  // namespace assay
