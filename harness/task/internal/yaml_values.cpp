#include "harness/task/internal/yaml_values.h"

#include <charconv>

namespace assay {
namespace {

/// As PyYAML, which asks for the point.
std::optional<double> decimal_of(const YamlNode& node) {
  double value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto read = std::from_chars(node.text.data(), end, value);
  const bool has_point = node.text.find('.') != std::string::npos;
  if (!node.is_scalar() || node.quoted || !has_point || read.ec != std::errc() || read.ptr != end)
    return std::nullopt;
  return value;
}

}  // namespace

std::optional<int64_t> yaml_integer(const YamlNode& node) {
  int64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto read = std::from_chars(node.text.data(), end, value);
  if (!node.is_scalar() || node.quoted || read.ec != std::errc() || read.ptr != end)
    return std::nullopt;
  return value;
}

bool yaml_is_true(const YamlNode& node) { return node.text == "true" || node.text == "True"; }

Json yaml_json(const YamlNode& node) {
  if (node.is_null()) return {};
  if (node.is_list()) {
    Json list = Json::array();
    for (const YamlNode& item : node.items) list.push_back(yaml_json(item));
    return list;
  }
  if (node.is_map()) {
    Json map = Json::object();
    for (const YamlEntry& entry : node.entries) map[entry.key] = yaml_json(entry.value);
    return map;
  }
  if (const auto number = yaml_integer(node)) return *number;
  if (const auto number = decimal_of(node)) return *number;
  const bool is_false = node.text == "false" || node.text == "False";
  if (!node.quoted && (yaml_is_true(node) || is_false)) return !is_false;
  return node.text;
}

}  // namespace assay
