// What a checkpoint of a recipe is: the hash of all that determines it, and its tasks.
#include <algorithm>

#include "harness/checkpoint/origin.h"
#include "harness/core/hash.h"
#include "harness/task/task.h"
#include "harness/train/internal/settings.h"
#include "harness/train/recipe.h"

namespace assay {
namespace {

// Increment what changes of training itself: older checkpoints are then trained again.
constexpr uint64_t kTrainingVersion = 1, kTextTrainingVersion = 2;

}  // namespace

std::string Recipe::hash_of_init(const CheckpointRecipe& recipe) const {
  if (recipe.init == "random") return "random";
  const auto outside = outside_.find(recipe.init);
  return outside == outside_.end() ? hash(recipe.init) : outside->second->content_hash();
}

std::string Recipe::hash(const std::string& checkpoint) const {
  const CheckpointRecipe& recipe = at(checkpoint);
  Json mixture = Json::array();
  for (const MixturePart& part : recipe.mixture)
    mixture.push_back({{"task", part.task},
                       {"data", load_task(part.task, "a recipe", part.changes)->hash()},
                       {"examples", part.examples ? Json(*part.examples) : Json(nullptr)}});
  Json everything = {{"version", tokenizer_ ? kTextTrainingVersion : kTrainingVersion},
                     {"architecture", architecture_},
                     {"name", recipe.name},
                     {"role", recipe.role},
                     {"init", hash_of_init(recipe)},
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
  std::vector<std::string> tasks;
  const auto outside = outside_.find(entry.init);
  if (outside != outside_.end()) {
    if (!of_bases) tasks = assay::trained_on(*outside->second);
  } else if (entry.init != "random") {
    tasks = tasks_of(entry.init, of_bases);
  }
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
