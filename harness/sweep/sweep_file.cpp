#include "harness/sweep/sweep_file.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/glob.h"
#include "harness/core/log.h"
#include "harness/core/regular_file.h"
#include "harness/method/configuration.h"
#include "harness/sweep/internal/task_patterns.h"

namespace assay {
namespace {

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

std::vector<ExpertSet> read_sets(const JsonReader& list, const std::string& base) {
  std::vector<ExpertSet> sets;
  std::vector<std::string> names;
  for (JsonReader& element : list.elements()) {
    ExpertSet set;
    set.name = element.string("name");
    const std::string own_base = element.string("base", base);
    if (!own_base.empty()) set.base = own_base;
    const JsonReader experts = element.at("experts");
    set.experts = experts.as_strings();
    if (set.experts.empty()) experts.fail("a set needs at least one expert");
    refuse_repeats(set.experts, "experts of a set", experts);
    if (const auto multitask = element.find("multitask")) set.multitask = multitask->as_string();
    element.finish();
    names.push_back(set.name);
    sets.push_back(std::move(set));
  }
  if (sets.empty()) list.fail("a sweep needs at least one expert set");
  refuse_repeats(names, "expert sets", list);
  return sets;
}

std::vector<MethodSpec> read_rows(const JsonReader& list, const RowCalibration& calibration) {
  std::vector<MethodSpec> rows;
  std::vector<std::string> labels;
  for (const JsonReader& element : list.elements()) {
    rows.push_back(read_method_spec(element, calibration));
    labels.push_back(rows.back().label);
  }
  refuse_repeats(labels, "rows", list);
  return rows;
}

std::vector<uint64_t> read_seeds(const JsonReader& list) {
  std::vector<uint64_t> seeds;
  for (const JsonReader& element : list.elements()) {
    if (element.as_integer() < 0) element.fail("a seed must not be negative");
    seeds.push_back(static_cast<uint64_t>(element.as_integer()));
  }
  if (seeds.empty()) list.fail("expected at least one seed");
  std::set<uint64_t> seen;
  for (const uint64_t seed : seeds)
    if (!seen.insert(seed).second) list.fail(fmt::format("the seed {} is named twice", seed));
  return seeds;
}

// Making each configuration once checks every name and value before anything is run.
void check_points(const MethodSpec& spec) {
  bool calibrated = false;
  for (const Json& point : spec.grid_points())
    calibrated |= looks_at_data(
        MethodConfiguration::read(spec.method, JsonReader(point, spec.where)).needs());
  if (spec.own_calibration && !calibrated)
    user_error("{}.calibration: {} does not look at data", spec.where, spec.method);
}

}  // namespace

std::string reference_name(Reference reference) {
  return kReferenceNames.at(static_cast<size_t>(reference));
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
  sweep.sets = read_sets(root.at("expert_sets"), base);
  if (const auto trained_on = root.find("trained_on"))
    for (const auto& [model, tasks] : trained_on->entries())
      sweep.trained_on[model] = tasks.as_strings();
  sweep.tasks = read_task_patterns(root.at("tasks"));
  if (sweep.tasks.empty()) root.at("tasks").fail("a sweep needs at least one task");
  if (const auto evaluate = root.find("evaluate"))
    sweep.held_in_only = place_among({"all", "held-in"}, "choice of tasks", *evaluate) == 1;

  if (const auto calibration = root.find("calibration"))
    sweep.calibration = read_row_calibration(*calibration, {});
  sweep.methods = read_rows(root.at("methods"), sweep.calibration);
  if (const auto references = root.find("references"))
    sweep.references = read_references(*references);
  const auto seeds = root.find("seeds");
  sweep.seeds = seeds ? read_seeds(*seeds) : std::vector<uint64_t>{0};
  root.finish();
  check_cell_count(sweep);
  for (const MethodSpec& spec : sweep.methods) check_points(spec);
  return sweep;
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
      sweep.methods.begin(), sweep.methods.end(),
      [&](const MethodSpec& method) { return matches_glob(glob, method.label); });
  sweep.left_out.assign(left_out, sweep.methods.end());
  sweep.methods.erase(left_out, sweep.methods.end());
  if (sweep.methods.empty()) throw UserError(unknown_name("row", glob, "--only", labels));
}

}  // namespace assay
