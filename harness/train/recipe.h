/// Recipes: how the checkpoints of a study are made. One JSON file describes an architecture and any
/// number of named checkpoints, each trained from scratch or from another one.
#pragma once

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
  std::string task;                ///< "digits/mnist-012"; its train split is used
  std::optional<int64_t> examples; ///< the first so many, in the dataset's order; absent: all
};

struct CheckpointRecipe {
  std::string name;
  std::string init;  ///< another checkpoint of the recipe, or "random"
  std::string role;  ///< "base", "expert" or "multitask"
  std::vector<MixturePart> mixture;
  int64_t steps = 0, batch = 0;
  double learning_rate = 0, weight_decay = 0;
  uint64_t seed = 0;
};

class Recipe {
 public:
  /// UserError on unknown keys, missing or cyclic `init`s, unknown tasks.
  static Recipe read(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  const std::vector<CheckpointRecipe>& checkpoints() const { return checkpoints_; }
  /// UserError with the nearest name when there is none.
  const CheckpointRecipe& at(const std::string& checkpoint) const;
  /// Of everything that determines the weights: architecture, recipe entry, data, and those of `init`.
  std::string hash(const std::string& checkpoint) const;
  const Json& architecture() const { return architecture_; }

 private:
  std::string name_;
  Json architecture_;
  std::vector<CheckpointRecipe> checkpoints_;
};

/// Makes sure that `folder`/NAME holds the checkpoint made by the recipe as it stands now: opens it
/// when its assay.json carries the same recipe hash, else trains it (and what it starts from). Training
/// runs on one thread, so its bytes do not depend on the number of cores.
std::shared_ptr<const Checkpoint> ensure_checkpoint(const Recipe& recipe, const std::string& name,
                                                    const std::filesystem::path& folder);

}  // namespace assay
