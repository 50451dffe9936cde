#include "harness/method/configuration.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/component_json.h"
#include "harness/method/internal/layer_groups.h"

namespace assay {
namespace {

using Path = std::vector<std::string>;

Json& at_path(Json& parameters, const Path& path) {
  Json* at = &parameters;
  for (const std::string& name : path) at = &(*at)[name];
  return *at;
}

const MethodEntry& entry_of(const std::string& ref, const std::string& where) {
  return methods().at(parse_method_ref(ref).name, where);
}

/// The method that a component is, by what the user wrote; that of the stored one `usual` without.
std::string method_of(const Json& component, const Json& usual) {
  if (component.is_string()) return component.get<std::string>();
  const auto named = component.is_object() ? component.find("method") : component.end();
  return named != component.end() && named->is_string() ? named->get<std::string>()
                                                        : component_name(usual);
}

/// The paths of the tables in what the user wrote for a method.
void find_tables(const std::string& ref, const Json& parameters, const std::string& where,
                 const Path& before, std::vector<Path>& found) {
  const Json with_preset = preset_with(ref, JsonReader(parameters, where));
  for (const ParamDoc& doc : entry_of(ref, where).parameters()) {
    if (!parameters.contains(doc.name) || !parameters[doc.name].is_object()) continue;
    Path path = before;
    path.push_back(doc.name);
    if (doc.type == MethodComponent::kType)
      find_tables(method_of(with_preset[doc.name], doc.default_value), parameters[doc.name],
                  fmt::format("{}.{}", where, doc.name), path, found);
    else if (!is_component_kind(doc.type))
      found.push_back(std::move(path));
  }
}

/// Why the method cannot modify what a component of it is, in words: it would lose task models, and
/// the plan of another shape.
std::optional<std::string> unmodifiable(const Method& method) {
  if (method.info().needs.output != Output::kSameArchitecture) return std::nullopt;
  const Json parameters = method.parameters();
  for (const auto& [name, value] : parameters.items()) {
    if (component_kind(value) != MethodComponent::kType) continue;
    MethodComponent component{component_name(value)};
    component.read(JsonReader(value, name));
    if (const Output output = component->needs().output; output != Output::kSameArchitecture)
      return fmt::format(
          "parameter '{}' is {}, which gives another form of model ({}): {} modifies methods that "
          "give one model of the inputs' shape",
          name, component->info().name, output_name(output), method.info().name);
  }
  return std::nullopt;
}

bool has_statistic(const std::vector<StatisticRef>& statistics, const StatisticRef& wanted) {
  return std::any_of(statistics.begin(), statistics.end(), [&](const StatisticRef& known) {
    return known.name == wanted.name && known.parameters == wanted.parameters;
  });
}

/// Adds those that are new; whether there are any.
bool add_statistics(const Method& method, std::vector<StatisticRef>& statistics) {
  const size_t before = statistics.size();
  for (StatisticRef& one : method.statistics())
    if (!has_statistic(statistics, one)) statistics.push_back(std::move(one));
  return statistics.size() > before;
}

}  // namespace

MethodConfiguration MethodConfiguration::read(const std::string& ref,
                                              const JsonReader& parameters) {
  MethodConfiguration made;
  made.where_ = parameters.where();
  parameters.entries();  // refuses anything but an object
  std::vector<Path> paths;
  find_tables(ref, parameters.json(), made.where_, {}, paths);
  Json plain = parameters.json();
  for (const Path& path : paths) {
    Json& owner = at_path(plain, {path.begin(), path.end() - 1});
    made.tables_.push_back({path, owner[path.back()].get<std::map<std::string, Json>>()});
    owner.erase(path.back());
  }
  const auto usual = configure_method(ref, JsonReader(plain, made.where_));
  const std::string name(usual->info().name);
  made.rest_ = usual->parameters();
  if (const auto reason = unmodifiable(*usual)) parameters.fail(*reason);

  // The method with one more value in `rest_`, which becomes what the method makes of it.
  const auto with = [&](const Table& table, const std::string& group, Json& value) {
    Json tried = made.rest_;
    at_path(tried, table.path) = value;
    try {
      auto method = configure_method(name, JsonReader(tried, made.where_));
      tried = method->parameters();
      value = at_path(tried, table.path);
      return method;
    } catch (const UserError& error) {
      user_error("{} (layer group '{}')", error.what(), group);
    }
  };
  for (Table& table : made.tables_) {
    if (table.values.empty())
      user_error("{}.{}: a table by layer group needs a group", made.where_,
                 fmt::join(table.path, "."));
    Json& rest = table.values.emplace("*", at_path(made.rest_, table.path)).first->second;
    with(table, "*", rest);
    at_path(made.rest_, table.path) = rest;
  }
  std::erase_if(made.tables_, [](const Table& table) { return table.values.size() == 1; });
  made.variants_.push_back(configure_method(name, JsonReader(made.rest_, made.where_)));
  made.parameters_ = made.rest_;
  for (Table& table : made.tables_) {
    for (auto& [group, value] : table.values)
      if (group != "*") made.variants_.push_back(with(table, group, value));
    at_path(made.parameters_, table.path) = table.values;
  }
  // Which values of several tables meet depends on the tensors.
  if (made.tables_.size() <= 1)
    for (const auto& variant : made.variants_)
      if (const auto conflict = variant->conflict()) parameters.fail(*conflict);
  if (made.tables_.empty()) return made;
  for (const auto& variant : made.variants_)
    if (variant->granularity() == Granularity::kModel ||
        variant->needs().output != Output::kSameArchitecture)
      parameters.fail(fmt::format(
          "{} does not merge tensor by tensor, so that its parameters cannot be tables", ref));
  // A group's job has the tensors of the group alone: a network of them is no expert's.
  const std::vector<ParamDoc> docs = entry_of(ref, made.where_).parameters();
  const bool modifies = std::any_of(docs.begin(), docs.end(), [](const ParamDoc& doc) {
    return doc.type == MethodComponent::kType;
  });
  if (modifies && made.needs().gradients)
    parameters.fail(fmt::format(
        "{} runs the network on whole models, so that its parameters cannot be tables", ref));
  return made;
}

Needs MethodConfiguration::needs() const {
  Needs needs = variants_.front()->needs();
  for (const auto& variant : variants_) needs = unite(needs, variant->needs());
  return needs;
}

std::vector<StatisticRef> MethodConfiguration::statistics() const {
  std::vector<StatisticRef> statistics;
  for (const auto& variant : variants_) add_statistics(*variant, statistics);
  if (statistics.empty() || tables_.size() < 2) return statistics;
  // Tensors combine the values of several tables: all combinations count, or those of the first
  // tables where there are many; groups() refuses what is not among them.
  constexpr size_t kMostCombinations = 64;
  std::vector<Json> combinations{rest_};
  for (const Table& table : tables_) {
    if (combinations.size() * table.values.size() > kMostCombinations) break;
    std::vector<Json> combined;
    for (const Json& other : combinations)
      for (const auto& [group, value] : table.values)
        at_path(combined.emplace_back(other), table.path) = value;
    combinations = std::move(combined);
  }
  for (const Json& parameters : combinations)
    add_statistics(*configure_method(std::string(info().name), JsonReader(parameters, where_)),
                   statistics);
  return statistics;
}

bool MethodConfiguration::randomized() const {
  return std::any_of(variants_.begin(), variants_.end(),
                     [](const auto& variant) { return variant->randomized(); });
}

std::vector<MethodGroup> MethodConfiguration::groups(const std::vector<std::string>& tensors,
                                                     const BlockOfTensor& blocks) const {
  std::vector<LayerGroups> tables;
  for (const Table& table : tables_)
    tables.emplace_back(fmt::format("{}.{}", where_, fmt::join(table.path, ".")), table.values,
                        tensors, blocks);
  const auto made = [&](const Json& parameters) {
    return make_method(std::string(info().name), JsonReader(parameters, where_));
  };
  std::vector<MethodGroup> groups;
  if (tables.empty()) {
    groups.push_back({made(parameters_), tensors});
    return groups;
  }
  const std::vector<StatisticRef> listed = statistics();
  std::map<std::string, size_t> index;
  for (const std::string& tensor : tensors) {
    Json parameters = rest_;
    for (size_t i = 0; i < tables.size(); ++i)
      at_path(parameters, tables_[i].path) = tables[i].value(tensor);
    const auto [known, is_new] = index.emplace(canonical(parameters), groups.size());
    if (is_new) {
      groups.push_back({made(parameters), {}});
      for (const StatisticRef& one : groups.back().method->statistics())
        if (!has_statistic(listed, one))
          user_error(
              "{}: the tables give '{}' values that together need another statistic ({} {}) than "
              "each does by itself, and they are too many to try all combinations; use fewer tables",
              where_, tensor, one.name, canonical(one.parameters));
    }
    groups[known->second].tensors.push_back(tensor);
  }
  return groups;
}

void check_layer_groups(const std::vector<std::string>& groups,
                        const std::vector<std::string>& tensors, const BlockOfTensor& blocks,
                        const std::string& where) {
  std::map<std::string, Json> values;
  for (const std::string& group : groups) values.emplace(group, nullptr);
  LayerGroups(where, values, tensors, blocks);
}

bool has_parameter(const Json& parameters, const std::string& path) {
  if (!parameters.is_object()) return false;
  if (parameters.contains(path)) return true;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    const auto component = parameters.find(path.substr(0, dot));
    if (component != parameters.end() && has_parameter(*component, path.substr(dot + 1)))
      return true;
  }
  return false;
}

void set_parameter(const std::string& ref, Json& parameters, const std::string& path,
                   const Json& value, const std::string& where) {
  const std::vector<ParamDoc> docs = entry_of(ref, where).parameters();
  const auto owner = std::find_if(docs.begin(), docs.end(), [&](const ParamDoc& doc) {
    return is_component_kind(doc.type) && path.starts_with(doc.name + ".");
  });
  const bool plain =
      std::any_of(docs.begin(), docs.end(), [&](const ParamDoc& doc) { return doc.name == path; });
  if (plain || owner == docs.end()) {
    parameters[path] = value;  // a name that is unknown is refused when it is read
    return;
  }
  const Json with_preset = preset_with(ref, JsonReader(parameters, where));
  Json& component = parameters[owner->name];
  if (component.is_string()) component = {{owner->type, component}};
  const std::string inner = path.substr(owner->name.size() + 1);
  if (owner->type == MethodComponent::kType)
    set_parameter(method_of(with_preset.value(owner->name, Json()), owner->default_value),
                  component, inner, value, where);
  else
    component[inner] = value;  // other kinds have no components of their own
}

Json with_paths(const std::string& ref, const Json& parameters, const std::string& where) {
  Json set = Json::object();
  for (const auto& [path, value] : parameters.items()) set_parameter(ref, set, path, value, where);
  return set;
}

}  // namespace assay
