/// Regular expressions over the names of layers, as adapter configurations write them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace assay {

/// Run by PCRE2 with bounded work, as the patterns come from files of others. Thread-safe.
class LayerPattern {
 public:
  /// UserError with the place in the pattern when it is no regular expression; `where` names it.
  LayerPattern(const std::string& pattern, std::string where);

  /// Whether the pattern matches the whole name. UserError when that takes too many steps.
  bool matches(std::string_view name) const;

 private:
  std::shared_ptr<const void> code_;
  std::string where_;
};

}  // namespace assay
