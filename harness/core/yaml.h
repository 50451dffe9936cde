/// Reading of untrusted YAML: a tree of limited size whose nodes know their lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay {

struct YamlEntry;

/// A value of a YAML document. Aliases are replaced by copies of what they refer to.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 1;
  std::string text;                ///< of a scalar
  bool quoted = false;             ///< a scalar that is text, whatever it looks like
  std::string tag;                 ///< of a scalar with a tag of its own: "!function"; else empty
  bool anchored = false;           ///< it has an anchor ("&name"), which aliases may refer to
  std::vector<YamlNode> items;     ///< of a list
  std::vector<YamlEntry> entries;  ///< of a map, in the order of the text; keys are unique

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  /// The value of a key; nullptr when this is not a map or has no such key.
  const YamlNode* find(std::string_view key) const;
};

struct YamlEntry {
  std::string key;
  int line = 1;
  YamlNode value;
};

/// Parses the only document of `text`; an empty one is null. UserError "WHERE:LINE: ..." on text
/// that is not YAML, keys that are not text or appear twice, merge keys, several documents, and
/// documents of more than 1 MiB, 32 levels or 20,000 nodes (aliases counted as often as they are
/// used).
YamlNode parse_yaml(std::string_view text, const std::string& where);

/// What was found, for messages: "'x'", "a list of 3", "a map", "nothing".
std::string yaml_found(const YamlNode& node);

}  // namespace assay
