/// What readers of a YAML file share: messages "WHERE:LINE: ...", and values that must be there.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/yaml.h"

namespace assay {

class YamlMessages {
 protected:
  explicit YamlMessages(std::string where) : where_(std::move(where)) {}

  [[noreturn]] void fail(int line, const std::string& message) const {
    user_error("{}:{}: {}", where_, line, message);
  }
  [[noreturn]] void wanted(const YamlNode& node, const std::string& what) const {
    fail(node.line, fmt::format("expected {}, found {}", what, yaml_found(node)));
  }
  [[noreturn]] void unknown(const std::string& kind, const std::string& name, int line,
                            const std::vector<std::string>& known) const {
    fail(line, fmt::format("unknown {} '{}'.{}", kind, name, suggestion(name, known)));
  }

  /// The value of a key; nullptr when it is missing or says nothing, which is the same.
  static const YamlNode* given(const YamlNode& map, std::string_view key) {
    const YamlNode* value = map.find(key);
    return value && !value->is_null() ? value : nullptr;
  }
  std::string text(const YamlNode& node, const std::string& what) const {
    if (!node.is_scalar() || node.text.empty()) wanted(node, what);
    return node.text;
  }
  /// Refuses keys of a map but those known.
  void check_keys(const YamlNode& map, const std::vector<std::string>& known) const {
    for (const YamlEntry& entry : map.entries)
      if (std::find(known.begin(), known.end(), entry.key) == known.end())
        unknown("key", entry.key, entry.line, known);
  }
  /// A dtype that mergekit has; absent when the key is.
  std::optional<std::string> read_dtype(const YamlNode& root, const char* key) const {
    const std::vector<std::string> known{"float32", "float16", "bfloat16"};
    const std::vector<std::string> later{"float64", "int64"};
    const YamlNode* node = given(root, key);
    if (!node) return std::nullopt;
    std::string name = text(*node, "a dtype");
    constexpr std::string_view kPrefix = "torch.";
    if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
    if (std::find(later.begin(), later.end(), name) != later.end())
      fail(node->line, fmt::format("mergekit's {} '{}' is not supported yet", key, name));
    if (std::find(known.begin(), known.end(), name) == known.end())
      unknown("dtype", name, node->line, known);
    return name;
  }

  std::string where_;
};

}  // namespace assay
