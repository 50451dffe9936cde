#include "harness/merge/mergekit/parameters.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/core/ascii.h"
#include "harness/merge/mergekit/yaml_messages.h"

namespace assay {
namespace {

using Kind = MergekitParameter::Kind;

// Parameters of methods that Assay does not read yet.
const std::vector<std::string> kOtherParameters{"normalize_weights", "eps", "max_iter", "tol"};

bool is_mergekit_parameter(std::string_view name) {
  if (std::find(kOtherParameters.begin(), kOtherParameters.end(), name) != kOtherParameters.end())
    return true;
  const auto& methods = mergekit_methods();
  return std::any_of(methods.begin(), methods.end(), [&](const MergekitMethod& method) {
    return std::any_of(method.parameters.begin(), method.parameters.end(),
                       [&](const MergekitParameter& known) { return known.name == name; });
  });
}

// YAML 1.1's words, as mergekit's reader takes them, and the numbers 0 and 1.
std::optional<double> as_flag(const YamlNode& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  const std::string word = ascii_lower(node.text);
  if (word == "true" || word == "yes" || word == "on") return 1;
  if (word == "false" || word == "no" || word == "off") return 0;
  const auto number = yaml_number(node);
  return number == 0 || number == 1 ? number : std::nullopt;
}

class ParameterReader : YamlMessages {
 public:
  ParameterReader(const MergekitMethod& method, const std::string& where)
      : YamlMessages(where), method_(method) {}

  MergekitSettings read(const YamlNode& node, bool of_model) const {
    if (!node.is_map()) wanted(node, "a map of parameters");
    MergekitSettings settings;
    for (const YamlEntry& entry : node.entries) {
      const MergekitParameter& parameter = find_parameter(entry, of_model);
      if (entry.value.is_null())
        fail(entry.line, fmt::format("the parameter '{}' has no value", entry.key));
      settings[entry.key] = read_setting(entry, parameter);
    }
    return settings;
  }

 private:
  const MergekitParameter& find_parameter(const YamlEntry& entry, bool of_model) const {
    std::vector<std::string> known;
    for (const MergekitParameter& parameter : method_.parameters) {
      known.emplace_back(parameter.name);
      if (parameter.name != entry.key) continue;
      if (of_model && !parameter.per_model)
        fail(entry.line, fmt::format("'{}' is a parameter of the whole merge and not of one model: "
                                     "write it under 'parameters' at the top level",
                                     entry.key));
      return parameter;
    }
    if (is_mergekit_parameter(entry.key))
      fail(entry.line, fmt::format("'{}' is no parameter of '{}', where mergekit ignores it.{}",
                                   entry.key, method_.name, suggestion("", known)));
    unknown(fmt::format("parameter of '{}'", method_.name), entry.key, entry.line, known);
  }

  MergekitSetting read_setting(const YamlEntry& entry, const MergekitParameter& parameter) const {
    MergekitSetting setting{entry.line, {}};
    const YamlNode& value = entry.value;
    if (value.is_map()) {
      setting.values.push_back(read_filtered(value, parameter));
      return setting;
    }
    const bool conditional =
        value.is_list() && std::any_of(value.items.begin(), value.items.end(),
                                       [](const YamlNode& item) { return item.is_map(); });
    if (!conditional) {
      setting.values.push_back(read_value(value, entry.key, parameter.kind));
      return setting;
    }
    for (const YamlNode& item : value.items)
      setting.values.push_back(read_filtered(item, parameter));
    return setting;
  }

  MergekitValue read_filtered(const YamlNode& item, const MergekitParameter& parameter) const {
    if (!item.is_map()) wanted(item, "{filter, value}, as the other entries of this list");
    for (const YamlEntry& entry : item.entries)
      if (entry.key != "filter" && entry.key != "value")
        unknown("key", entry.key, entry.line, {"filter", "value"});
    const YamlNode* content = item.find("value");
    if (!content) fail(item.line, "the key 'value' is missing");
    MergekitValue value = read_value(*content, std::string(parameter.name), parameter.kind);
    if (const YamlNode* filter = given(item, "filter")) {
      if (!filter->is_scalar()) wanted(*filter, "a part of a tensor's name");
      if (filter->text != "*") value.filter = filter->text;
    }
    return value;
  }

  MergekitValue read_value(const YamlNode& node, const std::string& name, Kind kind) const {
    const bool flag = kind == Kind::kFlag;
    const auto one = [&](const YamlNode& entry) {
      const auto number = flag ? as_flag(entry) : yaml_number(entry);
      if (!number)
        wanted(entry, flag ? fmt::format("true or false for '{}'", name)
                           : fmt::format("a finite number for '{}'", name));
      return *number;
    };
    MergekitValue value;
    if (!flag && node.is_list()) {
      if (node.items.empty()) wanted(node, fmt::format("numbers for '{}'", name));
      for (const YamlNode& item : node.items) value.points.push_back(one(item));
    } else {
      value.points = {one(node)};
    }
    return value;
  }

  const MergekitMethod& method_;
};

}  // namespace

std::optional<double> yaml_number(const YamlNode& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  std::string_view text = node.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    return std::nullopt;
  return number;
}

MergekitSettings read_mergekit_parameters(const YamlNode& node, const MergekitMethod& method,
                                          bool of_model, const std::string& where) {
  return ParameterReader(method, where).read(node, of_model);
}

}  // namespace assay
