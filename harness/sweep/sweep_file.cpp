#include "harness/sweep/sweep_file.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/core/regular_file.h"
#include "harness/method/configuration.h"
#include "harness/sweep/internal/task_patterns.h"

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

// Experts, base, best expert, multitask and other references; each row with its default, what tunes
// it and what that chooses.
void check_cell_count(const SweepFile& sweep) {
  double cells = 0;  // no product of counts is too big
  for (const ExpertSet& set : sweep.sets) {
    cells += 2 * static_cast<double>(set.experts.size()) + 3 +
             static_cast<double>(sweep.references.size());
    for (const MethodSpec& spec : sweep.methods) {
      const auto made =
          MethodConfiguration::read(spec.method, JsonReader(spec.parameters, spec.where));
      const auto scored = static_cast<double>(spec.evaluations(set.experts.size()));
      const double tuned = scored > 0 ? scored + 1 : 0;
      cells += (made.randomized() ? static_cast<double>(sweep.seeds.size()) : 1) * (1 + tuned);
    }
  }
  if (cells > static_cast<double>(kMostCells))
    user_error("{}: the sweep has {:.0f} cells ({} rows, {} seeds, {} expert sets); {} is the most",
               sweep.path.filename().string(), cells, sweep.methods.size(), sweep.seeds.size(),
               sweep.sets.size(), kMostCells);
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

/// A row's overrides the sweep's, key by key.
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

MethodSpec read_method(JsonReader reader, const RowCalibration& calibration) {
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

constexpr std::array<const char*, 5> kReferenceNames{"ensemble", "ensemble of logits",
                                                     "ensemble of probabilities", "majority vote",
                                                     "oracle expert"};

// The place of the text among the names that it may be.
size_t place_among(const std::vector<std::string>& names, const std::string& what,
                   const JsonReader& text) {
  const std::string name = text.as_string();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw UserError(unknown_name(what, name, text.where(), names));
  return static_cast<size_t>(found - names.begin());
}

std::vector<Reference> read_references(const JsonReader& list) {
  std::vector<Reference> references;
  for (const JsonReader& element : list.elements()) {
    const auto reference = static_cast<Reference>(
        place_among({kReferenceNames.begin(), kReferenceNames.end()}, "reference", element));
    if (std::find(references.begin(), references.end(), reference) != references.end())
      element.fail("the reference is named twice");
    references.push_back(reference);
  }
  return references;
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

std::string reference_name(Reference reference) {
  return kReferenceNames.at(static_cast<size_t>(reference));
}

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

SweepFile SweepFile::read(const std::filesystem::path& path, const std::string& given_name) {
  SweepFile sweep;
  sweep.path = path;
  sweep.given_name = given_name.empty() ? path.string() : given_name;
  sweep.json = parse_json(read_configuration(path), path.string());
  JsonReader root(sweep.json, path.filename().string());
  sweep.name = root.string("name");
  if (const auto recipe = root.find("recipe")) sweep.recipe = named_by(path, recipe->as_string());
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
  sweep.tasks = read_task_patterns(root.at("tasks"));
  if (sweep.tasks.empty()) root.at("tasks").fail("a sweep needs at least one task");
  if (const auto evaluate = root.find("evaluate"))
    sweep.held_in_only = place_among({"all", "held-in"}, "choice of tasks", *evaluate) == 1;

  if (const auto calibration = root.find("calibration"))
    sweep.calibration = read_row_calibration(*calibration, {});
  names.clear();
  const JsonReader method_list = root.at("methods");
  for (const JsonReader& element : method_list.elements()) {
    sweep.methods.push_back(read_method(element, sweep.calibration));
    names.push_back(sweep.methods.back().label);
  }
  refuse_repeats(names, "rows", method_list);

  if (const auto references = root.find("references"))
    sweep.references = read_references(*references);
  if (const auto seeds = root.find("seeds")) {
    for (const JsonReader& seed : seeds->elements()) {
      if (seed.as_integer() < 0) seed.fail("a seed must not be negative");
      sweep.seeds.push_back(static_cast<uint64_t>(seed.as_integer()));
    }
    if (sweep.seeds.empty()) seeds->fail("expected at least one seed");
    std::set<uint64_t> seen;
    for (const uint64_t seed : sweep.seeds)
      if (!seen.insert(seed).second) seeds->fail(fmt::format("the seed {} is named twice", seed));
  } else {
    sweep.seeds = {0};
  }
  root.finish();
  check_cell_count(sweep);
  // Making each configuration once checks every name and value before anything is run.
  for (const MethodSpec& spec : sweep.methods) {
    bool calibrated = false;
    for (const Json& point : spec.grid_points())
      calibrated |= looks_at_data(
          MethodConfiguration::read(spec.method, JsonReader(point, spec.where)).needs());
    if (spec.own_calibration && !calibrated)
      user_error("{}.calibration: {} does not look at data", spec.where, spec.method);
  }
  return sweep;
}

bool looks_at_data(const Needs& needs) {
  return needs.calibration_inputs || needs.calibration_labels || needs.gradients;
}

fs::path named_by(const fs::path& sweep_file, const std::string& name) {
  fs::path found = fs::canonical(find_file(name, sweep_file.parent_path()));
  if (const std::string note = same_name_note(name, found); !note.empty())
    log_info("note: {}: {}", sweep_file.filename().string(), note);
  return found;
}

void keep_only(SweepFile& sweep, const std::string& glob) {
  std::vector<std::string> labels;
  for (const MethodSpec& method : sweep.methods) labels.push_back(method.label);
  const auto left_out = std::stable_partition(
      sweep.methods.begin(), sweep.methods.end(), [&](const MethodSpec& method) {
        return ::fnmatch(glob.c_str(), method.label.c_str(), 0) == 0;
      });
  sweep.left_out.assign(left_out, sweep.methods.end());
  sweep.methods.erase(left_out, sweep.methods.end());
  if (sweep.methods.empty()) throw UserError(unknown_name("row", glob, "--only", labels));
}

}  // namespace assay
