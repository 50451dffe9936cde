#include "harness/merge/mergekit/yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/core/error.h"
#include "harness/core/yaml.h"

namespace assay {
namespace {

using Kind = MergekitParameter::Kind;

// What mergekit knows and Assay does not read yet.
const std::vector<std::string> kLaterMethods{
    "nuslerp",     "multislerp",   "karcher",     "breadcrumbs", "breadcrumbs_ties",
    "della",       "della_linear", "sce",         "ram",         "ramplus_tl",
    "model_stock", "nearswap",     "arcee_fusion"};
const std::vector<std::string> kLaterKeys{"slices", "modules", "tokenizer_source", "tokenizer",
                                          "chat_template"};
// Keys that people write and mergekit ignores.
const std::vector<std::string> kIgnoredKeys{"name", "description", "author", "license"};
const std::vector<std::string> kKeys{"merge_method", "models", "base_model",
                                     "parameters",   "dtype",  "out_dtype"};
const std::vector<std::string> kOtherParameters{
    "nuslerp_flatten", "nuslerp_row_wise", "normalize_weights", "eps", "max_iter", "tol",
    "gamma",           "epsilon",          "select_topk",       "r",   "alpha",    "filter_wise"};
const std::vector<std::string> kDtypes{"float32", "float16", "bfloat16"};
const std::vector<std::string> kLaterDtypes{"float64", "int64"};

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool is_mergekit_parameter(std::string_view name) {
  if (contains(kOtherParameters, name)) return true;
  const auto& methods = mergekit_methods();
  return std::any_of(methods.begin(), methods.end(), [&](const MergekitMethod& method) {
    return std::any_of(method.parameters.begin(), method.parameters.end(),
                       [&](const MergekitParameter& known) { return known.name == name; });
  });
}

std::optional<double> as_number(const YamlNode& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  std::string_view text = node.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    return std::nullopt;
  return number;
}

// YAML 1.1's words, as mergekit's reader takes them, and the numbers 0 and 1.
std::optional<double> as_flag(const YamlNode& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  std::string word = node.text;
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (word == "true" || word == "yes" || word == "on") return 1;
  if (word == "false" || word == "no" || word == "off") return 0;
  const auto number = as_number(node);
  return number == 0 || number == 1 ? number : std::nullopt;
}

class Reader {
 public:
  explicit Reader(const std::string& where) { config_.where = where; }

  MergekitConfig read(const YamlNode& root) {
    if (!root.is_map()) wanted(root, "a merge configuration: a map with the key 'merge_method'");
    for (const YamlEntry& entry : root.entries) check_key(entry);
    const YamlNode* name = root.find("merge_method");
    if (!name)
      fail(root.line, root.find("experts") || root.find("gate_mode")
                          ? "the key 'merge_method' is missing; mergekit-moe's configurations are "
                            "not supported yet"
                          : "the key 'merge_method' is missing");
    config_.method = text(*name, "the name of a method");
    config_.method_line = name->line;
    check_method();
    method_ = &mergekit_method(config_.method);

    const YamlNode* models = root.find("models");
    if (!models) fail(root.line, "the key 'models' is missing");
    if (!models->is_list() || models->items.empty()) wanted(*models, "a list of models");
    for (const YamlNode& model : models->items) read_model(model);
    if (const YamlNode* base = given(root, "base_model"))
      config_.base_model = MergekitModel{text(*base, "a model"), base->line, {}};
    if (const YamlNode* settings = given(root, "parameters"))
      config_.parameters = read_parameters(*settings, /*of_model=*/false);
    config_.dtype = read_dtype(root, "dtype");
    config_.out_dtype = read_dtype(root, "out_dtype");
    return std::move(config_);
  }

 private:
  [[noreturn]] void fail(int line, const std::string& message) const {
    user_error("{}:{}: {}", config_.where, line, message);
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

  // mergekit ignores keys that it does not know. Here they are errors, since they may be
  // misspelled, except for names of merges and keys where an anchor was set.
  void check_key(const YamlEntry& entry) {
    if (contains(kKeys, entry.key)) return;
    const bool place = entry.value.anchored && !contains(kLaterKeys, entry.key);
    if (place || contains(kIgnoredKeys, entry.key)) {
      config_.notes.push_back(fmt::format("{}:{}: the key '{}' has no effect, as in mergekit{}{}",
                                          config_.where, entry.line, entry.key, place ? "." : "",
                                          place ? suggestion(entry.key, kKeys) : ""));
      return;
    }
    if (!contains(kLaterKeys, entry.key)) {
      if (entry.key == "experts" || entry.key == "gate_mode") return;  // read() says what it is
      unknown("key", entry.key, entry.line, kKeys);
    }
    if (!entry.value.is_null())
      fail(entry.line, fmt::format("the key '{}' of mergekit is not supported yet", entry.key));
  }

  void check_method() const {
    if (contains(kLaterMethods, config_.method))
      fail(config_.method_line,
           fmt::format("mergekit's method '{}' is not supported yet", config_.method));
    std::vector<std::string> known;
    for (const MergekitMethod& method : mergekit_methods()) known.emplace_back(method.name);
    if (!contains(known, config_.method))
      unknown("merge_method", config_.method, config_.method_line, known);
  }

  void read_model(const YamlNode& node) {
    if (!node.is_map()) wanted(node, "a map with the key 'model'");
    for (const YamlEntry& entry : node.entries)
      if (entry.key != "model" && entry.key != "parameters") {
        if (entry.key == "layer_range" || entry.key == "sources")
          fail(entry.line, fmt::format("'{}' belongs to mergekit's slices, "
                                       "which are not supported yet",
                                       entry.key));
        unknown("key", entry.key, entry.line, {"model", "parameters"});
      }
    const YamlNode* name = node.find("model");
    if (!name) fail(node.line, "the key 'model' is missing");
    if (name->is_map())
      fail(name->line,
           "a model as a map is not supported yet; write MODEL, MODEL@REVISION or MODEL+ADAPTER");
    MergekitModel model{text(*name, "a model"), name->line, {}};
    for (const MergekitModel& other : config_.models)
      if (other.model == model.model)
        fail(model.line,
             fmt::format("the model '{}' is listed already in line {}", model.model, other.line));
    if (const YamlNode* settings = given(node, "parameters"))
      model.parameters = read_parameters(*settings, /*of_model=*/true);
    config_.models.push_back(std::move(model));
  }

  MergekitSettings read_parameters(const YamlNode& node, bool of_model) const {
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

  const MergekitParameter& find_parameter(const YamlEntry& entry, bool of_model) const {
    std::vector<std::string> known;
    for (const MergekitParameter& parameter : method_->parameters) {
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
                                   entry.key, method_->name, suggestion("", known)));
    unknown(fmt::format("parameter of '{}'", method_->name), entry.key, entry.line, known);
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
      const auto number = flag ? as_flag(entry) : as_number(entry);
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

  std::optional<std::string> read_dtype(const YamlNode& root, const char* key) const {
    const YamlNode* node = given(root, key);
    if (!node) return std::nullopt;
    std::string name = text(*node, "a dtype");
    constexpr std::string_view kPrefix = "torch.";
    if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
    if (contains(kLaterDtypes, name))
      fail(node->line, fmt::format("mergekit's {} '{}' is not supported yet", key, name));
    if (!contains(kDtypes, name)) unknown("dtype", name, node->line, kDtypes);
    return name;
  }

  MergekitConfig config_;
  const MergekitMethod* method_ = nullptr;
};

}  // namespace

double MergekitValue::at(double t) const {
  const double scaled = t * static_cast<double>(points.size() - 1);
  const auto low = static_cast<size_t>(scaled);
  const size_t high = std::min(points.size() - 1, low + 1);
  const double share = scaled - static_cast<double>(low);
  return (1 - share) * points[low] + share * points[high];
}

std::optional<double> MergekitSetting::find(const std::string& tensor, double t) const {
  for (const MergekitValue& value : values)
    if (tensor.find(value.filter) != std::string::npos) return value.at(t);
  return std::nullopt;
}

MergekitConfig parse_mergekit_yaml(std::string_view text, const std::string& where) {
  return Reader(where).read(parse_yaml(text, where));
}

}  // namespace assay
