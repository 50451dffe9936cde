#include "harness/sweep/sweep_file.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/regular_file.h"
#include "harness/method/method.h"

namespace assay {
namespace {

// "tune": true takes the method's own grid; an object names parameters and their values.
std::map<std::string, std::vector<Json>> read_grid(const JsonReader& tune, const MethodSpec& spec) {
  const MethodEntry& entry = methods().at(parse_method_ref(spec.method).name, spec.where);
  std::map<std::string, std::vector<Json>> grid;
  if (tune.json().is_boolean()) {
    if (!tune.as_bool()) return grid;
    for (const ParamDoc& parameter : entry.parameters)
      if (!parameter.sweep.empty() && !spec.parameters.contains(parameter.name))
        grid[parameter.name] = parameter.sweep;
    if (grid.empty()) tune.fail(fmt::format("{} has no parameter to tune", spec.method));
    return grid;
  }
  for (const auto& [name, values] : tune.entries()) {
    if (spec.parameters.contains(name)) values.fail("a fixed parameter cannot be tuned too");
    for (const auto& value : values.elements()) grid[name].push_back(value.json());
    if (grid[name].empty()) values.fail("expected at least one value");
  }
  return grid;
}

MethodSpec read_method(JsonReader reader) {
  MethodSpec spec;
  spec.where = reader.where();
  if (reader.is_string()) {
    spec.method = spec.label = reader.as_string();
  } else {
    spec.method = reader.string("method");
    spec.label = reader.string("label", spec.method);
    if (const auto parameters = reader.find("parameters")) {
      parameters->entries();  // refuses anything but an object
      spec.parameters = parameters->json();
    }
    make_method(spec.method, JsonReader(spec.parameters, spec.where + ".parameters"));
    if (const auto tune = reader.find("tune")) spec.grid = read_grid(*tune, spec);
    reader.finish();
  }
  // Making each configuration once checks every name and value before anything is run.
  for (const Json& point : spec.grid_points())
    make_method(spec.method, JsonReader(point, spec.where));
  return spec;
}

void refuse_repeats(const std::vector<std::string>& names, const std::string& what,
                    const JsonReader& where) {
  std::set<std::string> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      user_error("{}: two {} are named '{}'; give one of them another name", where.where(), what,
                 name);
}

}  // namespace

std::vector<Json> MethodSpec::grid_points() const {
  std::vector<Json> points{parameters};
  for (const auto& [name, values] : grid) {
    std::vector<Json> extended;
    for (const Json& point : points)
      for (const Json& value : values) {
        extended.push_back(point);
        extended.back()[name] = value;
      }
    points = std::move(extended);
  }
  return points;
}

SweepFile SweepFile::read(const std::filesystem::path& path) {
  SweepFile sweep;
  sweep.path = path;
  sweep.json = parse_json(read_configuration(path), path.string());
  JsonReader root(sweep.json, path.filename().string());
  sweep.name = root.string("name");
  const fs::path folder = path.parent_path();
  if (const auto recipe = root.find("recipe"))
    sweep.recipe = find_file(recipe->as_string(), folder);
  const std::string base = root.string("base", "");

  JsonReader sets = root.at("expert_sets");
  std::vector<std::string> names;
  for (JsonReader& element : sets.elements()) {
    ExpertSet set;
    set.name = element.string("name");
    const std::string own_base = element.string("base", base);
    if (!own_base.empty()) set.base = own_base;
    JsonReader experts = element.at("experts");
    set.experts = experts.as_strings();
    if (set.experts.empty()) experts.fail("a set needs at least one expert");
    refuse_repeats(set.experts, "experts of a set", experts);
    if (const auto multitask = element.find("multitask")) set.multitask = multitask->as_string();
    element.finish();
    names.push_back(set.name);
    sweep.sets.push_back(std::move(set));
  }
  if (sweep.sets.empty()) sets.fail("a sweep needs at least one expert set");
  refuse_repeats(names, "expert sets", sets);

  if (const auto trained_on = root.find("trained_on"))
    for (const auto& [model, tasks] : trained_on->entries())
      sweep.trained_on[model] = tasks.as_strings();
  sweep.tasks = root.at("tasks").as_strings();
  if (sweep.tasks.empty()) root.at("tasks").fail("a sweep needs at least one task");

  names.clear();
  const JsonReader method_list = root.at("methods");
  for (const JsonReader& element : method_list.elements()) {
    sweep.methods.push_back(read_method(element));
    names.push_back(sweep.methods.back().label);
  }
  refuse_repeats(names, "rows", method_list);

  if (const auto seeds = root.find("seeds")) {
    for (const JsonReader& seed : seeds->elements()) {
      if (seed.as_integer() < 0) seed.fail("a seed must not be negative");
      sweep.seeds.push_back(static_cast<uint64_t>(seed.as_integer()));
    }
    if (sweep.seeds.empty()) seeds->fail("expected at least one seed");
  } else {
    sweep.seeds = {0};
  }
  root.finish();
  return sweep;
}

void keep_only(SweepFile& sweep, const std::string& glob) {
  std::vector<std::string> labels;
  for (const MethodSpec& method : sweep.methods) labels.push_back(method.label);
  std::erase_if(sweep.methods, [&](const MethodSpec& method) {
    return ::fnmatch(glob.c_str(), method.label.c_str(), 0) != 0;
  });
  if (sweep.methods.empty()) throw UserError(unknown_name("row", glob, "--only", labels));
}

}  // namespace assay
