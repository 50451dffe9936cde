#include "harness/merge/mergekit/yaml.h"

#include <algorithm>
#include <charconv>

#include "harness/core/yaml.h"
#include "harness/merge/mergekit/parameters.h"
#include "harness/merge/mergekit/yaml_messages.h"

namespace assay {
namespace {

// What mergekit knows and Assay does not read yet.
const std::vector<std::string> kLaterMethods{"multislerp", "karcher"};
const std::vector<std::string> kLaterKeys{"modules", "tokenizer_source", "tokenizer",
                                          "chat_template"};
// Keys that people write and mergekit ignores.
const std::vector<std::string> kIgnoredKeys{"name", "description", "author", "license"};
const std::vector<std::string> kKeys{"merge_method", "models", "slices",   "base_model",
                                     "parameters",   "dtype",  "out_dtype"};

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class Reader : YamlMessages {
 public:
  explicit Reader(const std::string& where) : YamlMessages(where) { config_.where = where; }

  MergekitConfig read(const YamlNode& root) {
    if (!root.is_map()) wanted(root, "a merge configuration: a map with the key 'merge_method'");
    for (const YamlEntry& entry : root.entries) check_key(entry);
    const YamlNode* name = root.find("merge_method");
    if (!name)
      fail(root.line,
           "the key 'merge_method' is missing, or the 'experts' of a mixture of experts");
    config_.method = text(*name, "the name of a method");
    config_.method_line = name->line;
    check_method();
    method_ = &mergekit_method(config_.method);

    const YamlNode* models = given(root, "models");
    const YamlNode* slices = given(root, "slices");
    if (models && slices) fail(slices->line, "'models' and 'slices' exclude each other");
    if (slices)
      read_slices(*slices);
    else
      read_models(root);
    if (const YamlNode* base = given(root, "base_model"))
      config_.base_model = MergekitModel{text(*base, "a model"), base->line, {}, {}};
    if (const YamlNode* settings = given(root, "parameters"))
      config_.parameters = read_parameters(*settings, /*of_model=*/false);
    config_.dtype = read_dtype(root, "dtype");
    config_.out_dtype = read_dtype(root, "out_dtype");
    return std::move(config_);
  }

 private:
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
    if (!contains(kLaterKeys, entry.key)) unknown("key", entry.key, entry.line, kKeys);
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

  void read_models(const YamlNode& root) {
    const YamlNode* models = root.find("models");
    if (!models) fail(root.line, "the key 'models' is missing, or 'slices'");
    if (!models->is_list() || models->items.empty()) wanted(*models, "a list of models");
    for (const YamlNode& model : models->items) {
      if (!model.is_map()) wanted(model, "a map with the key 'model'");
      for (const YamlEntry& entry : model.entries)
        if (entry.key == "layer_range" || entry.key == "sources")
          fail(entry.line,
               fmt::format("'{}' belongs into an entry of 'slices'; in 'models' it has no effect",
                           entry.key));
      check_keys(model, {"model", "parameters"});
      add_model(model, config_.models);
    }
  }

  void read_slices(const YamlNode& slices) {
    if (!slices.is_list() || slices.items.empty()) wanted(slices, "a list of slices");
    for (const YamlNode& node : slices.items) {
      if (!node.is_map()) wanted(node, "a map with the key 'sources'");
      check_keys(node, {"sources", "base_model", "parameters"});
      const YamlNode* sources = node.find("sources");
      if (!sources) fail(node.line, "the key 'sources' is missing");
      if (!sources->is_list() || sources->items.empty())
        wanted(*sources, "a list of sources {model, layer_range}");
      MergekitSlice& slice = config_.slices.emplace_back();
      slice.line = node.line;
      for (const YamlNode& source : sources->items) {
        if (!source.is_map()) wanted(source, "a map with the keys 'model' and 'layer_range'");
        check_keys(source, {"model", "layer_range", "parameters"});
        add_model(source, slice.sources);
        slice.sources.back().layers = read_range(source);
      }
      if (const YamlNode* base = given(node, "base_model"))
        slice.base_model = MergekitModel{text(*base, "a model"), base->line, {}, {}};
      if (const YamlNode* settings = given(node, "parameters"))
        slice.parameters = read_parameters(*settings, /*of_model=*/false);
    }
  }

  MergekitLayers read_range(const YamlNode& source) const {
    const YamlNode* node = source.find("layer_range");
    if (!node) fail(source.line, "the key 'layer_range' is missing");
    const auto number = [&](const YamlNode& entry) {
      int64_t value = 0;
      const char* end = entry.text.data() + entry.text.size();
      const auto [read, error] = std::from_chars(entry.text.data(), end, value);
      if (!entry.is_scalar() || entry.quoted || error != std::errc() || read != end || value < 0)
        wanted(entry, "the number of a layer");
      return value;
    };
    if (!node->is_list() || node->items.size() != 2)
      wanted(*node, "a list of two numbers: the first layer, and the one after the last");
    return {number(node->items[0]), number(node->items[1])};
  }

  MergekitSettings read_parameters(const YamlNode& node, bool of_model) const {
    return read_mergekit_parameters(node, *method_, of_model, where_);
  }

  void add_model(const YamlNode& node, std::vector<MergekitModel>& list) const {
    const YamlNode* name = node.find("model");
    if (!name) fail(node.line, "the key 'model' is missing");
    if (name->is_map())
      fail(name->line,
           "a model as a map is not supported yet; write MODEL, MODEL@REVISION or MODEL+ADAPTER");
    MergekitModel model{text(*name, "a model"), name->line, {}, {}};
    for (const MergekitModel& other : list)
      if (other.model == model.model)
        fail(model.line,
             fmt::format("the model '{}' is listed already in line {}", model.model, other.line));
    if (const YamlNode* settings = given(node, "parameters"))
      model.parameters = read_parameters(*settings, /*of_model=*/true);
    list.push_back(std::move(model));
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
