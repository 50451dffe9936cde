/// Training recipes. One JSON file describes an architecture and any number of named checkpoints,
/// each trained from scratch or from another one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/json.h"

namespace assay {

/// One part of a training mixture.
struct MixturePart {
  std::string task;                 ///< "digits/mnist-012"; its train split is used
  std::optional<int64_t> examples;  ///< number of examples, drawn by the seed; absent: all
};

struct CheckpointRecipe {
  std::string name;  ///< also the folder's name
  std::string init;  ///< another checkpoint of the recipe, or "random"
  std::string role;  ///< "base", "expert" or "multitask"
  std::vector<MixturePart> mixture;
  int64_t steps = 0, batch = 0;
  double learning_rate = 0;  ///< of AdamW, initial
  double weight_decay = 0;
  std::string schedule = "cosine";  ///< of the learning rate: "cosine" (decays to 0) or "constant"
  /// "joint": cross entropy over all classes. "own_labels": over those that the example's task has,
  /// as with a head per task.
  std::string loss = "joint";
  std::vector<std::string> freeze{};  ///< globs of tensors that are not trained
  uint64_t seed = 0;                  ///< of the initial weights and of the order of the examples
};

class Recipe {
 public:
  /// UserError, naming the location in the file, on unknown keys, missing settings, values out of
  /// range, missing or cyclic `init`s or more than 100 of them in a row, unknown architectures and
  /// tasks. Reads no data.
  static Recipe read(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  const std::vector<CheckpointRecipe>& checkpoints() const { return checkpoints_; }
  /// UserError with the nearest name when there is none.
  const CheckpointRecipe& at(const std::string& checkpoint) const;
  /// Hash of all that determines the weights: architecture, recipe entry, data, and likewise those
  /// of `init`.
  std::string hash(const std::string& checkpoint) const;
  /// The tasks that a checkpoint was trained on after its base, in this step and earlier ones, and
  /// those that its base was pre-trained on.
  std::vector<std::string> trained_on(const std::string& checkpoint) const;
  std::vector<std::string> pretrained_on(const std::string& checkpoint) const;
  /// The content of config.json, every field included.
  const Json& architecture() const { return architecture_; }

 private:
  /// `where`: the location of a checkpoint's init in the file.
  void check_inits(const std::function<std::string(const std::string&)>& where) const;
  std::vector<std::string> tasks_of(const std::string& checkpoint, bool of_bases) const;

  std::string name_;
  Json architecture_;
  std::vector<CheckpointRecipe> checkpoints_;
};

/// The checkpoint `folder`/NAME when the recipe hash in its assay.json is that of the recipe; null
/// otherwise. Its path is absolute.
std::shared_ptr<const Checkpoint> find_checkpoint(const Recipe& recipe, const std::string& name,
                                                  const std::filesystem::path& folder);

/// UserError unless a checkpoint can be written there: the path is free, or holds what a recipe
/// made.
void check_destination(const std::filesystem::path& path);

/// Opens find_checkpoint(), else trains the checkpoint (and its `init`) and replaces the folder if
/// a recipe made it (check_destination(), before any training). assay.json also records the tasks
/// it was trained on ("trained_on": in this step and earlier ones after the base) and pre-trained
/// on
/// ("pretrained_on": by its base), examples per part, steps, seed, cost and final loss (the mean
/// over the last tenth of the steps). Training minimises cross entropy (CheckpointRecipe::loss)
/// with AdamW, on minibatches from a new permutation of the whole mixture per epoch. It uses one
/// CPU thread, so that the bytes do not depend on the number of cores. When another process makes
/// the same checkpoint, waits for that and opens it. DataError, naming the recipe, when the loss is
/// not finite.
std::shared_ptr<const Checkpoint> ensure_checkpoint(const Recipe& recipe, const std::string& name,
                                                    const std::filesystem::path& folder);

}  // namespace assay
