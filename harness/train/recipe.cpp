#include "harness/train/recipe.h"

#include <algorithm>
#include <set>

#include "harness/core/hash.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"

namespace assay {
namespace {

// Increment it when training itself changes: older checkpoints are then trained again.
constexpr uint64_t kTrainingVersion = 1;

// Limits the recursion over a chain of inits.
constexpr size_t kMaxInits = 100;
constexpr size_t kMaxShown = 200;  // characters of a chain in a message

const std::vector<std::string> kRoles = {"base", "expert", "multitask"};
const std::vector<std::string> kSchedules = {"constant", "cosine"};
const std::vector<std::string> kLosses = {"joint", "own_labels"};

std::string one_of(const std::string& kind, const std::vector<std::string>& known,
                   const JsonReader& value) {
  std::string name = value.as_string();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw UserError(unknown_name(kind, name, value.where(), known));
  return name;
}

int64_t positive_integer(const JsonReader& value) {
  const int64_t number = value.as_integer();
  if (number < 1) value.fail("expected an integer of at least 1");
  return number;
}

double number_from(const JsonReader& value, double low) {
  const double number = value.as_number();
  if (number < low) value.fail(fmt::format("expected a number of at least {}", low));
  return number;
}

std::vector<MixturePart> read_mixture(const JsonReader& list,
                                      const std::vector<std::string>& known_tasks) {
  std::vector<MixturePart> mixture;
  std::set<std::string> seen;
  for (JsonReader element : list.elements()) {
    MixturePart part;
    if (element.is_string()) {
      part.task = element.as_string();
    } else {
      part.task = element.string("task");
      if (const auto examples = element.find("examples"))
        part.examples = positive_integer(*examples);
      element.finish();
    }
    if (std::find(known_tasks.begin(), known_tasks.end(), part.task) == known_tasks.end())
      throw UserError(unknown_name("task", part.task, element.where(), known_tasks));
    if (!seen.insert(part.task).second) element.fail("the task occurs twice in the mixture");
    mixture.push_back(std::move(part));
  }
  if (mixture.empty()) list.fail("expected at least one task");
  return mixture;
}

/// Sets the fields that `settings` states: first those of the role's defaults, then the entry's
/// own.
void read_settings(JsonReader& settings, const std::vector<std::string>& known_tasks,
                   CheckpointRecipe& recipe) {
  if (const auto v = settings.find("init")) recipe.init = v->as_string();
  if (const auto v = settings.find("mixture")) recipe.mixture = read_mixture(*v, known_tasks);
  if (const auto v = settings.find("steps")) recipe.steps = positive_integer(*v);
  if (const auto v = settings.find("batch")) recipe.batch = positive_integer(*v);
  if (const auto v = settings.find("learning_rate")) {
    recipe.learning_rate = number_from(*v, 0);
    if (recipe.learning_rate == 0) v->fail("expected a number above 0");
  }
  if (const auto v = settings.find("weight_decay")) recipe.weight_decay = number_from(*v, 0);
  if (const auto v = settings.find("schedule"))
    recipe.schedule = one_of("schedule", kSchedules, *v);
  if (const auto v = settings.find("loss")) recipe.loss = one_of("loss", kLosses, *v);
  if (const auto v = settings.find("freeze")) recipe.freeze = v->as_strings();
  if (const auto v = settings.find("seed")) {
    const int64_t seed = v->as_integer();
    if (seed < 0) v->fail("expected an integer of at least 0");
    recipe.seed = static_cast<uint64_t>(seed);
  }
}

void check_complete(const CheckpointRecipe& recipe, const JsonReader& entry) {
  const auto require = [&](bool given, const char* key) {
    if (!given)
      user_error("{}: '{}' is given neither here nor in the defaults of role '{}'", entry.where(),
                 key, recipe.role);
  };
  require(!recipe.init.empty(), "init");
  require(!recipe.mixture.empty(), "mixture");
  require(recipe.steps > 0, "steps");
  require(recipe.batch > 0, "batch");
  require(recipe.learning_rate > 0, "learning_rate");
}

// A name is that of one folder below the output.
constexpr size_t kMaxNameLength = 200;

void check_recipe_name(const std::string& name, const JsonReader& entry) {
  if (name.empty() || name.size() > kMaxNameLength || name.front() == '.' ||
      std::any_of(name.begin(), name.end(), [](char c) {
        return c == '/' || static_cast<unsigned char>(c) < ' ' || c == '\x7f';
      }))
    entry.fail(
        fmt::format("'{}' cannot be a recipe's name: up to {} bytes, no '/', no control "
                    "characters, no '.' at the beginning",
                    name.substr(0, kMaxNameLength), kMaxNameLength));
}

void check_name(const std::string& name, const JsonReader& entry) {
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
      std::string::npos;
  if (name.empty() || name.front() == '.' || !plain || name.size() > kMaxNameLength ||
      name == "random")
    entry.fail(
        fmt::format("'{}' cannot be a checkpoint's name: letters, digits, '-', '_' and '.' can, up "
                    "to {} of them, 'random' is taken",
                    name.substr(0, kMaxNameLength), kMaxNameLength));
}

}  // namespace

Recipe Recipe::read(const std::filesystem::path& path) {
  const Json json = read_json(path);
  JsonReader root(json, path.string() + ": $");
  Recipe recipe;
  recipe.name_ = root.string("name");
  check_recipe_name(recipe.name_, root.at("name"));
  recipe.architecture_ = make_architecture(root.at("architecture"))->config();

  const std::vector<std::string> known_tasks = task_names();
  std::map<std::string, CheckpointRecipe> defaults;
  if (const auto found = root.find("defaults"))
    for (auto& [role, settings] : found->entries()) {
      if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end())
        throw UserError(unknown_name("role", role, found->where(), kRoles));
      read_settings(settings, known_tasks, defaults[role]);
      settings.finish();
    }

  std::map<std::string, JsonReader> readers;
  for (auto& [name, entry] : root.at("checkpoints").entries()) {
    check_name(name, entry);
    const std::string role = one_of("role", kRoles, entry.at("role"));
    CheckpointRecipe checkpoint = defaults[role];
    checkpoint.name = name;
    checkpoint.role = role;
    read_settings(entry, known_tasks, checkpoint);
    entry.finish();
    check_complete(checkpoint, entry);
    readers.emplace(name, entry);
    recipe.checkpoints_.push_back(std::move(checkpoint));
  }
  root.finish();

  recipe.check_inits([&](const std::string& name) { return readers.at(name).where() + ".init"; });
  return recipe;
}

void Recipe::check_inits(const std::function<std::string(const std::string&)>& where) const {
  std::vector<std::string> names = {"random"};
  std::map<std::string, const CheckpointRecipe*> known;
  for (const auto& checkpoint : checkpoints_) {
    names.push_back(checkpoint.name);
    known[checkpoint.name] = &checkpoint;
  }
  for (const auto& checkpoint : checkpoints_) {
    std::string chain = checkpoint.name;
    const CheckpointRecipe* current = &checkpoint;
    std::set<const CheckpointRecipe*> visited{current};
    for (size_t length = 1; current->init != "random"; ++length) {
      const auto next = known.find(current->init);
      if (next == known.end())
        throw UserError(unknown_name("checkpoint", current->init, where(checkpoint.name), names));
      chain += " <- " + current->init;
      if (!visited.insert(next->second).second)
        user_error("{}: the chain of inits is cyclic: {}", where(checkpoint.name), chain);
      if (length > kMaxInits)
        user_error("{}: the chain of inits has more than {} checkpoints: {} ...",
                   where(checkpoint.name), kMaxInits, chain.substr(0, kMaxShown));
      current = next->second;
    }
  }
}

const CheckpointRecipe& Recipe::at(const std::string& checkpoint) const {
  for (const CheckpointRecipe& candidate : checkpoints_)
    if (candidate.name == checkpoint) return candidate;
  std::vector<std::string> names;
  for (const CheckpointRecipe& candidate : checkpoints_) names.push_back(candidate.name);
  throw UserError(unknown_name("checkpoint", checkpoint, fmt::format("recipe '{}'", name_), names));
}

std::string Recipe::hash(const std::string& checkpoint) const {
  const CheckpointRecipe& recipe = at(checkpoint);
  Json mixture = Json::array();
  for (const MixturePart& part : recipe.mixture)
    mixture.push_back({{"task", part.task},
                       {"data", load_task(part.task)->hash()},
                       {"examples", part.examples ? Json(*part.examples) : Json(nullptr)}});
  Json everything = {{"version", kTrainingVersion},
                     {"architecture", architecture_},
                     {"name", recipe.name},
                     {"role", recipe.role},
                     {"init", recipe.init == "random" ? "random" : hash(recipe.init)},
                     {"mixture", mixture},
                     {"steps", recipe.steps},
                     {"batch", recipe.batch},
                     {"learning_rate", recipe.learning_rate},
                     {"weight_decay", recipe.weight_decay},
                     {"schedule", recipe.schedule},
                     {"seed", recipe.seed}};
  // Absent where they are as in recipes from before there were such settings.
  if (recipe.loss != "joint") everything["loss"] = recipe.loss;
  if (!recipe.freeze.empty()) everything["freeze"] = recipe.freeze;
  if (const Plugin* plugin = architectures().plugin_of(architecture_.value("model_type", "")))
    everything["plugin"] = plugin->hash;
  return hash_text(canonical(everything));
}

std::vector<std::string> Recipe::tasks_of(const std::string& checkpoint, bool of_bases) const {
  const CheckpointRecipe& entry = at(checkpoint);
  std::vector<std::string> tasks =
      entry.init == "random" ? std::vector<std::string>{} : tasks_of(entry.init, of_bases);
  if ((entry.role == "base") != of_bases) return tasks;
  for (const MixturePart& part : entry.mixture)
    if (std::find(tasks.begin(), tasks.end(), part.task) == tasks.end()) tasks.push_back(part.task);
  return tasks;
}

std::vector<std::string> Recipe::trained_on(const std::string& checkpoint) const {
  return tasks_of(checkpoint, false);
}

std::vector<std::string> Recipe::pretrained_on(const std::string& checkpoint) const {
  return tasks_of(checkpoint, true);
}

}  // namespace assay
