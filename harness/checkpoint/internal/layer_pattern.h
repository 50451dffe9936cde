/// Regular expressions over layer names, as in adapter configurations.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace assay {

/// Matched by PCRE2 with limited steps and memory: the patterns are untrusted. Thread-safe.
class LayerPattern {
 public:
  /// UserError with the position when the pattern is not a regular expression; `where` names it.
  LayerPattern(const std::string& pattern, std::string where);

  /// Whether the pattern matches the whole name. UserError when that takes too many steps.
  bool matches(std::string_view name) const;

 private:
  std::shared_ptr<const void> code_;
  std::string where_;
};

}  // namespace assay
