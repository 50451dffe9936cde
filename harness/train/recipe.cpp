#include "harness/train/recipe.h"

#include <algorithm>
#include <set>

#include "harness/core/files.h"
#include "harness/model/encoder.h"
#include "harness/model/language.h"
#include "harness/model/open.h"
#include "harness/model/sequence_to_sequence.h"
#include "harness/task/task.h"
#include "harness/train/internal/settings.h"
#include "harness/train/outside_model.h"

namespace assay {
namespace {

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
  if (const auto* model = dynamic_cast<const RoutedArchitecture*>(&architecture))
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
  const auto* encoder = dynamic_cast<const EncoderArchitecture*>(&architecture);
  const bool is_encoder = encoder != nullptr;
  const bool generates = vocabulary_of(architecture).has_value() && !is_encoder;
  const auto refuse = [&](bool given, const char* what, const char* whose) {
    if (given) user_error("{}: {} is for {}", entry.where(), what, whose);
  };
  refuse(recipe.loss == "answers" && !generates, "the loss 'answers'", "models that generate text");
  refuse(recipe.loss == "own_labels" && (generates || is_encoder), "the loss 'own_labels'",
         "classifiers of images and the like");
  refuse(recipe.loss == "spans" &&
             dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture) == nullptr,
         "the loss 'spans'", "encoder-decoders");
  refuse(recipe.loss == "masked" && !(encoder && encoder->predicts_tokens()), "the loss 'masked'",
         "encoders with a head for masked tokens, as of \"architectures\": [\"BertForMaskedLM\"]");
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
  recipe.folder_ = path.parent_path();
  recipe.name_ = root.string("name");
  check_recipe_name(recipe.name_, root.at("name"));
  const auto architecture = recipe.read_architecture(root);
  recipe.read_tokenizer(root, *architecture);

  const std::vector<std::string> known_tasks = task_names();
  std::map<std::string, CheckpointRecipe> defaults;
  if (const auto found = root.find("defaults"))
    for (auto& [role, settings] : found->entries()) {
      if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end())
        throw UserError(unknown_name("role", role, found->where(), kRoles));
      read_settings(settings, known_tasks, recipe.folder_, defaults[role]);
      settings.finish();
    }

  std::map<std::string, JsonReader> readers;
  for (auto& [name, entry] : root.at("checkpoints").entries()) {
    check_name(name, entry);
    const std::string role = one_of("role", kRoles, entry.at("role"));
    CheckpointRecipe checkpoint = defaults[role];
    checkpoint.name = name;
    checkpoint.role = role;
    read_settings(entry, known_tasks, recipe.folder_, checkpoint);
    entry.finish();
    check_complete(checkpoint, entry);
    check_text_settings(checkpoint, entry, *architecture);
    check_image_settings(checkpoint, entry, *architecture);
    readers.emplace(name, entry);
    recipe.checkpoints_.push_back(std::move(checkpoint));
  }
  root.finish();

  const auto where = [&](const std::string& name) { return readers.at(name).where() + ".init"; };
  recipe.open_outside_models(where);
  recipe.check_inits(where);
  return recipe;
}

std::unique_ptr<const Architecture> Recipe::read_architecture(JsonReader& root) {
  const JsonReader given = root.at("architecture");
  std::unique_ptr<const Architecture> architecture;
  if (given.is_string()) {
    const auto model = Checkpoint::open(find_outside_model(given.as_string(), folder_));
    architecture = make_architecture(JsonReader(architecture_of(*model)->config(), given.where()));
    tokenizer_folder_ = model->path();
  } else {
    architecture = make_architecture(given);
  }
  architecture_ = architecture->config();
  return architecture;
}

void Recipe::open_outside_models(const std::function<std::string(const std::string&)>& where) {
  for (const CheckpointRecipe& checkpoint : checkpoints_) {
    if (!is_outside_model(checkpoint.init) || outside_.contains(checkpoint.init)) continue;
    const auto model = Checkpoint::open(find_outside_model(checkpoint.init, folder_));
    const Json config = architecture_of(*model)->config();
    for (const auto& [field, value] : architecture_.items())
      if (config.value(field, Json()) != value)
        user_error(
            "{}: the architecture's '{}' is {}, and that of '{}' is {}. \"architecture\": \"{}\" "
            "takes the model's own",
            where(checkpoint.name), field, value.dump(), checkpoint.init,
            config.value(field, Json()).dump(), checkpoint.init);
    outside_[checkpoint.init] = model;
  }
}

void Recipe::read_tokenizer(JsonReader& root, const Architecture& architecture) {
  const auto vocabulary = vocabulary_of(architecture);
  const auto given = root.find("tokenizer");
  if (!vocabulary) {
    if (given) given->fail("the architecture reads no text, so it has no tokenizer");
    tokenizer_folder_.clear();
    return;
  }
  if (given) tokenizer_folder_ = find_file(given->as_string(), folder_);
  if (tokenizer_folder_.empty())
    user_error(
        "{}: the architecture reads text: 'tokenizer' names the folder of its tokenizer's files, "
        "as \"tokenizers/bytes\"",
        root.where());
  tokenizer_ = Tokenizer::open(tokenizer_folder_);
  if (tokenizer_->size() > *vocabulary)
    user_error("{}: the tokenizer has {} tokens, the architecture has {}", root.where(),
               tokenizer_->size(), *vocabulary);
}

void Recipe::check_inits(const std::function<std::string(const std::string&)>& where) const {
  const auto is_made_here = [&](const std::string& init) {
    return init != "random" && !outside_.contains(init);
  };
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
    for (size_t length = 1; is_made_here(current->init); ++length) {
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

}  // namespace assay
