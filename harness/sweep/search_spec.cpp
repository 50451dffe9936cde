#include "harness/sweep/search_spec.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/method/configuration.h"

namespace assay {
namespace {

using Kind = SearchedParameter::Kind;

constexpr int64_t kMostEntries = 10'000;  // of a list

const ParamDoc& find_parameter(const std::string& name, const JsonReader& values,
                               const std::vector<ParamDoc>& parameters) {
  std::vector<std::string> names;
  for (const ParamDoc& parameter : parameters) {
    if (parameter.name == name) return parameter;
    names.push_back(parameter.name);
  }
  throw UserError(unknown_name("parameter", name, values.where(), names));
}

Range read_range(const JsonReader& values, const ParamDoc& parameter) {
  const std::vector<JsonReader> ends = values.elements();
  if (ends.size() != 2) values.fail("expected a range [low, high]");
  const Range range{ends[0].as_number(), ends[1].as_number()};
  if (!(range.low < range.high)) values.fail("expected a range [low, high] with low < high");
  for (const JsonReader& end : ends) {
    if (parameter.type == "integer") end.as_integer();  // refuses 1.5
    if (end.as_number() < parameter.range.low || end.as_number() > parameter.range.high)
      end.fail(fmt::format("'{}' is in [{}, {}]", parameter.name, parameter.range.low,
                           parameter.range.high));
  }
  return range;
}

std::vector<Json> read_choices(const JsonReader& values, const ParamDoc& parameter) {
  std::vector<Json> choices;
  for (const JsonReader& value : values.elements()) {
    if (parameter.type == "boolean")
      value.as_bool();
    else if (const std::string name = value.as_string();
             std::find(parameter.choices.begin(), parameter.choices.end(), name) ==
             parameter.choices.end())
      throw UserError(unknown_name("choice", name, value.where(), parameter.choices));
    if (std::find(choices.begin(), choices.end(), value.json()) != choices.end())
      value.fail("named twice");
    choices.push_back(value.json());
  }
  if (choices.size() < 2) values.fail("expected at least two values to choose from");
  return choices;
}

SearchedParameter read_parameter(const std::string& name, const JsonReader& values,
                                 const ParamDoc& parameter) {
  if (parameter.type == "choice" || parameter.type == "boolean")
    return {name, Kind::kChoice, {}, read_choices(values, parameter)};
  const Kind kind = parameter.type == "number"            ? Kind::kNumber
                    : parameter.type == "integer"         ? Kind::kInteger
                    : parameter.type == "list of numbers" ? Kind::kList
                                                          : Kind::kChoice;
  if (kind == Kind::kChoice)
    values.fail(
        fmt::format("'{}' is a {}: searches vary numbers, lists of numbers, choices and "
                    "booleans",
                    name, parameter.type));
  if (kind != Kind::kList || !values.is_object())
    return {name, kind, read_range(values, parameter), {}};
  JsonReader list = values;
  SearchedParameter searched{name, kind, read_range(list.at("range"), parameter), {}};
  const JsonReader entries = list.at("entries");
  searched.entries = entries.as_integer();
  if (searched.entries < 1 || searched.entries > kMostEntries)
    entries.fail(fmt::format("expected a number of entries from 1 to {}", kMostEntries));
  list.finish();
  return searched;
}

// A setting that only some algorithms have.
void refuse_unless(bool allowed, const std::optional<JsonReader>& setting, const std::string& name,
                   const std::string& reason) {
  if (setting && !allowed) setting->fail(fmt::format("'{}': {}", name, reason));
}

}  // namespace

const std::vector<std::string>& search_algorithms() {
  static const std::vector<std::string> names{"random", "greedy", "cma_es", "nsga2"};
  return names;
}

SearchSpec read_search(JsonReader search, const std::vector<ParamDoc>& parameters,
                       const Json& fixed) {
  SearchSpec spec;
  JsonReader algorithm = search.at("algorithm");
  spec.algorithm = algorithm.as_string();
  if (spec.algorithm == "grid") algorithm.fail("a grid is written as \"tune\"");
  const auto& known = search_algorithms();
  if (std::find(known.begin(), known.end(), spec.algorithm) == known.end())
    throw UserError(unknown_name("algorithm", spec.algorithm, algorithm.where(), known));
  const bool greedy = spec.algorithm == "greedy";

  refuse_unless(!greedy, search.find("budget"), "budget",
                "greedy scores every expert and then a soup for each but the best");
  refuse_unless(!greedy, search.find("seed"), "seed", "greedy draws no random numbers");
  refuse_unless(!greedy, search.find("layer_groups"), "layer_groups", "greedy takes whole experts");
  refuse_unless(greedy, search.find("accept"), "accept", "for greedy only");
  if (!greedy) {
    JsonReader budget = search.at("budget");
    spec.budget = budget.as_integer();
    if (spec.budget < 2) budget.fail("expected a number of evaluations, at least 2");
    const int64_t seed = search.integer("seed", 0);
    if (seed < 0) search.at("seed").fail("a seed must not be negative");
    spec.seed = static_cast<uint64_t>(seed);
  }
  if (const auto accept = search.find("accept")) {
    const std::string name = accept->as_string();
    if (name != "gt" && name != "ge")
      throw UserError(unknown_name("rule", name, accept->where(), {"gt", "ge"}));
    spec.accept_equal = name == "ge";
  }
  if (const auto groups = search.find("layer_groups")) {
    spec.layer_groups = groups->as_strings();
    if (spec.layer_groups.empty()) groups->fail("expected at least one group");
    // What no group names has a value of its own, so that every tensor has one.
    if (std::find(spec.layer_groups.begin(), spec.layer_groups.end(), "*") ==
        spec.layer_groups.end())
      spec.layer_groups.emplace_back("*");
  }

  JsonReader space = search.at("space");
  for (const auto& [name, values] : space.entries()) {
    if (has_parameter(fixed, name)) values.fail("a fixed parameter cannot be searched too");
    spec.space.push_back(read_parameter(name, values, find_parameter(name, values, parameters)));
  }
  if (spec.space.empty()) space.fail("expected at least one parameter");
  if (greedy && (spec.space.size() != 1 || spec.space.front().kind != Kind::kList ||
                 spec.space.front().entries > 0))
    space.fail("greedy turns the values of one list of a number per expert from low to high");
  search.finish();
  return spec;
}

int64_t search_budget(const SearchSpec& spec, size_t num_experts) {
  return spec.budget > 0 ? spec.budget : 2 * static_cast<int64_t>(num_experts) - 1;
}

}  // namespace assay
