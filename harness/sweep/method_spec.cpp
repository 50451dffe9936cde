#include "harness/sweep/method_spec.h"

#include <fmt/ranges.h>

#include <utility>

#include "harness/core/error.h"
#include "harness/method/configuration.h"

namespace assay {
namespace {

// "tune": true takes the method's own grid; an object names parameters and their values.
std::map<std::string, std::vector<Json>> read_grid(const JsonReader& tune, const MethodSpec& spec) {
  std::map<std::string, std::vector<Json>> grid;
  if (tune.json().is_boolean()) {
    if (!tune.as_bool()) return grid;
    const auto made =
        MethodConfiguration::read(spec.method, JsonReader(spec.parameters, spec.where));
    for (const ParamDoc& parameter : flat_docs(made.docs()))
      if (!parameter.sweep.empty() && !has_parameter(spec.parameters, parameter.name))
        grid[parameter.name] = parameter.sweep;
    if (grid.empty()) tune.fail(fmt::format("{} has no parameter to tune", spec.method));
    return grid;
  }
  for (const auto& [name, values] : tune.entries()) {
    if (has_parameter(spec.parameters, name)) values.fail("a fixed parameter cannot be tuned too");
    for (const auto& value : values.elements()) grid[name].push_back(value.json());
    if (grid[name].empty()) values.fail("expected at least one value");
  }
  return grid;
}

// Counted, so that nobody waits for a file that asks for more than can be run.
void check_grid_size(const MethodSpec& spec) {
  if (spec.grid_size() <= kMostCells) return;
  std::vector<std::string> factors;
  for (const auto& [name, values] : spec.grid)
    factors.push_back(fmt::format("{} of {}", values.size(), name));
  user_error("{}: the grid of '{}' has {} points ({}); a sweep may have {} cells at most",
             spec.where, spec.label, spec.grid_size(), fmt::join(factors, " x "), kMostCells);
}

// A row that does not say how it is tuned has the method's own search, unless it fixes what that
// would vary.
void add_own_search(MethodSpec& spec) {
  const MethodEntry& entry = methods().at(parse_method_ref(spec.method).name, spec.where);
  if (entry.search.empty()) return;
  const std::string where = fmt::format("the search of '{}'", entry.info.name);
  const Json json = parse_json(std::string(entry.search), where);
  SearchSpec search = read_search(JsonReader(json, where), entry.parameters(), Json::object());
  for (const SearchedParameter& searched : search.space)
    if (has_parameter(spec.parameters, searched.name)) return;
  spec.search = std::move(search);
  spec.searched_by_default = true;
}

}  // namespace

int64_t MethodSpec::grid_size() const {
  constexpr int64_t kMost = int64_t{1} << 62;
  int64_t points = 1;
  for (const auto& [name, values] : grid)
    if (__builtin_mul_overflow(points, static_cast<int64_t>(values.size()), &points) ||
        points > kMost)
      return kMost;
  return points;
}

int64_t MethodSpec::evaluations(size_t num_experts) const {
  if (search) return search_budget(*search, num_experts);
  return grid.empty() ? 0 : grid_size();
}

std::vector<Json> MethodSpec::grid_points() const {
  std::vector<Json> points{parameters};
  for (const auto& [name, values] : grid) {
    std::vector<Json> extended;
    for (const Json& point : points)
      for (const Json& value : values) {
        extended.push_back(point);
        set_parameter(method, extended.back(), name, value, where);
      }
    points = std::move(extended);
  }
  return points;
}

bool looks_at_data(const Needs& needs) {
  return needs.calibration_inputs || needs.calibration_labels || needs.gradients;
}

RowCalibration read_row_calibration(const JsonReader& json, const RowCalibration& defaults) {
  RowCalibration calibration = defaults;
  json.entries();  // refuses anything but an object
  Json settings = json.json();
  if (settings.contains("tasks")) {
    const JsonReader tasks(settings["tasks"], json.where() + ".tasks");
    calibration.tasks = tasks.as_strings();
    calibration.where = tasks.where();
    if (calibration.tasks.empty())
      tasks.fail("expected names of tasks; without 'tasks' every expert has its own");
    settings.erase("tasks");
  }
  calibration.spec = read_calibration(JsonReader(settings, json.where()), defaults.spec);
  return calibration;
}

MethodSpec read_method_spec(JsonReader reader, const RowCalibration& calibration) {
  MethodSpec spec;
  spec.calibration = calibration;
  spec.where = reader.where();
  if (reader.is_string()) {
    spec.method = spec.label = reader.as_string();
    MethodConfiguration::read(spec.method, JsonReader(spec.parameters, spec.where));
    add_own_search(spec);
  } else {
    spec.method = reader.string("method");
    spec.label = reader.string("label", spec.method);
    if (const auto parameters = reader.find("parameters")) {
      parameters->entries();  // refuses anything but an object
      spec.parameters = parameters->json();
    }
    const auto made = MethodConfiguration::read(
        spec.method, JsonReader(spec.parameters, spec.where + ".parameters"));
    const auto tune = reader.find("tune"), search = reader.find("search");
    if (tune && search) search->fail("a row has 'tune' or 'search', not both");
    if (tune) spec.grid = read_grid(*tune, spec);
    if (search) spec.search = read_search(*search, flat_docs(made.docs()), spec.parameters);
    if (!tune && !search) add_own_search(spec);
    if (const auto own = reader.find("calibration")) {
      spec.calibration = read_row_calibration(*own, calibration);
      spec.own_calibration = true;
    }
    reader.finish();
    check_grid_size(spec);
  }
  return spec;
}

}  // namespace assay
