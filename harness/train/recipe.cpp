#include "harness/train/recipe.h"

#include <algorithm>
#include <set>

#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/model/encoder.h"
#include "harness/model/language.h"
#include "harness/model/sequence_to_sequence.h"
#include "harness/task/task.h"
#include "harness/train/internal/settings.h"

namespace assay {
namespace {

// Increment it when training itself changes: older checkpoints are then trained again.
constexpr uint64_t kTrainingVersion = 1;

// Limits the recursion over a chain of inits.
constexpr size_t kMaxInits = 100;
constexpr size_t kMaxShown = 200;  // characters of a chain in a message

const std::vector<std::string> kRoles = {"base", "expert", "multitask"};

/// Absent where the inputs are no texts.
std::optional<int64_t> vocabulary_of(const Architecture& architecture) {
  if (const auto* model = dynamic_cast<const LanguageArchitecture*>(&architecture))
    return model->vocabulary();
  if (const auto* model = dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture))
    return model->vocabulary();
  if (const auto* model = dynamic_cast<const EncoderArchitecture*>(&architecture))
    return model->vocabulary();
  return std::nullopt;
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
  if (recipe.accumulate > recipe.batch)
    user_error("{}: a batch of {} cannot go through the model in {} parts", entry.where(),
               recipe.batch, recipe.accumulate);
  if (recipe.warmup >= recipe.steps)
    user_error("{}: {} steps of warm-up, but {} in all", entry.where(), recipe.warmup,
               recipe.steps);
}

void check_image_settings(const CheckpointRecipe& recipe, const JsonReader& entry,
                          const Architecture& architecture) {
  if (!recipe.augment) return;
  constexpr size_t kImage = 3;  // channels, height, width
  const std::vector<int64_t> shape =
      vocabulary_of(architecture) ? std::vector<int64_t>{} : architecture.item_shape();
  if (shape.size() != kImage) user_error("{}: 'augment' is for models of images", entry.where());
  if (recipe.augment->crop >= std::min(shape[1], shape[2]))
    user_error("{}: 'augment' shifts images by up to {} pixels, and they have {} x {}",
               entry.where(), recipe.augment->crop, shape[1], shape[2]);
}

void check_text_settings(const CheckpointRecipe& recipe, const JsonReader& entry,
                         const Architecture& architecture) {
  const bool is_encoder = dynamic_cast<const EncoderArchitecture*>(&architecture) != nullptr;
  const bool generates = vocabulary_of(architecture).has_value() && !is_encoder;
  const auto refuse = [&](bool given, const char* what, const char* whose) {
    if (given) user_error("{}: {} is for {}", entry.where(), what, whose);
  };
  refuse(recipe.loss == "answers" && !generates, "the loss 'answers'", "models that generate text");
  refuse(recipe.loss == "own_labels" && (generates || is_encoder), "the loss 'own_labels'",
         "classifiers of images and the like");
  refuse(recipe.max_tokens > 0 && !generates && !is_encoder, "'max_tokens'", "models of text");
  refuse(recipe.gradient_checkpointing &&
             dynamic_cast<const LanguageArchitecture*>(&architecture) == nullptr,
         "'gradient_checkpointing'", "decoders");
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
  const auto architecture = make_architecture(root.at("architecture"));
  recipe.architecture_ = architecture->config();
  recipe.read_tokenizer(root, *architecture, path.parent_path());

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
    check_text_settings(checkpoint, entry, *architecture);
    check_image_settings(checkpoint, entry, *architecture);
    readers.emplace(name, entry);
    recipe.checkpoints_.push_back(std::move(checkpoint));
  }
  root.finish();

  recipe.check_inits([&](const std::string& name) { return readers.at(name).where() + ".init"; });
  return recipe;
}

void Recipe::read_tokenizer(JsonReader& root, const Architecture& architecture,
                            const std::filesystem::path& folder) {
  const auto vocabulary = vocabulary_of(architecture);
  const auto given = root.find("tokenizer");
  if (!vocabulary) {
    if (given) given->fail("the architecture reads no text, so it has no tokenizer");
    return;
  }
  if (!given)
    user_error(
        "{}: the architecture reads text: 'tokenizer' names the folder of its tokenizer's files, "
        "as \"tokenizers/bytes\"",
        root.where());
  tokenizer_folder_ = find_file(given->as_string(), folder);
  tokenizer_ = Tokenizer::open(tokenizer_folder_);
  if (tokenizer_->size() > *vocabulary)
    given->fail(fmt::format("the tokenizer has {} tokens, the architecture has {}",
                            tokenizer_->size(), *vocabulary));
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
      if (current->adapter)
        user_error("{}: '{}' is an adapter, which nothing can be trained from",
                   where(checkpoint.name), current->name);
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
  everything.update(changed_settings(recipe));
  if (tokenizer_) everything["tokenizer"] = tokenizer_->hash();
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
