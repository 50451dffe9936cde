#include "reports/internal/configurations.h"

#include <algorithm>
#include <map>
#include <set>

#include "harness/core/parameters.h"

namespace assay {
namespace {

using Placed = SweepResults::PlacedRun;

Json default_values(const SweepResults& results, const RunRecord& run) {
  Json defaults = Json::object();
  for (const MethodRecord& method : results.methods)
    if (method.name == run.method && method.version == run.method_version)
      for (const Json& parameter : method.parameters)
        defaults[parameter.value("name", "")] = parameter.value("default", Json());
  return flat_parameters(defaults);
}

// The range of the parameter of this name among those of a method or, with a dotted name, of its
// components.
Json range_in(const Json& parameters, const std::string& name) {
  for (const Json& parameter : parameters) {
    const std::string own = parameter.value("name", "");
    if (own == name) return parameter.value("range", Json());
    if (parameter.contains("parameters") && name.starts_with(own + "."))
      if (Json inner = range_in(parameter["parameters"], name.substr(own.size() + 1));
          !inner.is_null())
        return inner;
  }
  return {};
}

// The values that a method allows for a number; null at an end without a bound.
Json allowed_range(const SweepResults& results, const RunRecord& run, const std::string& name) {
  for (const MethodRecord& method : results.methods)
    if (method.name == run.method && method.version == run.method_version)
      return range_in(method.parameters, name);
  return {};
}

std::vector<std::string> grid_edge_choices(const SweepResults& results, const RunRecord& chosen,
                                           const std::vector<const Placed*>& grid,
                                           const std::vector<std::string>& tuned) {
  std::vector<std::string> on_edge;
  const Json parameters = flat_parameters(chosen.parameters);
  for (const std::string& name : tuned) {
    const Json value = parameters.value(name, Json());
    if (!value.is_number()) continue;
    const auto choice = value.get<double>();
    double low = choice, high = choice;
    for (const Placed* placed : grid)
      if (const Json tried = flat_parameters(placed->run.parameters).value(name, Json());
          tried.is_number()) {
        low = std::min(low, tried.get<double>());
        high = std::max(high, tried.get<double>());
      }
    const Json range = allowed_range(results, chosen, name);
    const auto is_bound = [&](size_t end) {
      return range.is_array() && range.size() == 2 && range[end].is_number() &&
             range[end].get<double>() == choice;
    };
    if ((choice == low && !is_bound(0)) || (choice == high && !is_bound(1)))
      on_edge.push_back(name);
  }
  return on_edge;
}

}  // namespace

std::vector<std::string> tuned_parameters(const std::vector<const Placed*>& grid) {
  std::map<std::string, std::set<std::string>> values;
  for (const Placed* placed : grid) {
    const Json parameters = flat_parameters(placed->run.parameters);
    for (const auto& [name, value] : parameters.items()) values[name].insert(canonical(value));
  }
  std::vector<std::string> tuned;
  for (const auto& [name, seen] : values)
    if (seen.size() > 1) tuned.push_back(name);
  return tuned;
}

void add_configurations(const SweepResults& results, const std::vector<const Placed*>& placed,
                        const std::vector<const Placed*>& grid, LeaderboardRow& row) {
  const auto& tuned = row.tuned_parameters;
  for (const Placed* p : placed) {
    const auto known =
        std::find_if(row.configurations.begin(), row.configurations.end(),
                     [&](const Configuration& c) { return c.parameters == p->run.parameters; });
    if (known != row.configurations.end()) {
      if (known->sets.back() != p->placement.set) known->sets.push_back(p->placement.set);
      continue;
    }
    Configuration configuration{{p->placement.set}, p->run.parameters, Json::object(), {}};
    // A search leaves a summit on all sides: what it tried last is no edge of what it may try.
    if (row.search.empty()) configuration.on_edge = grid_edge_choices(results, p->run, grid, tuned);
    const Json defaults = default_values(results, p->run);
    const Json parameters = flat_parameters(p->run.parameters);
    for (const auto& [name, value] : parameters.items())
      if (std::find(tuned.begin(), tuned.end(), name) != tuned.end() || !defaults.contains(name) ||
          defaults[name] != value)
        configuration.notable[name] = value;
    row.configurations.push_back(std::move(configuration));
  }
}

}  // namespace assay
