/// The weights of a model in training: which tensors are trained, and what the model computes with.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "harness/model/architecture.h"
#include "harness/train/recipe.h"

namespace assay {

class TrainedWeights {
 public:
  virtual ~TrainedWeights() = default;
  /// The tensors that the optimizer changes, by name: they require gradients.
  const StateDict& trained() const { return trained_; }
  /// The running moments of BatchNorm layers that every batch moves.
  const StateDict& running() const { return running_; }
  /// BatchNorm layers that go on to normalise by their running moments.
  const std::set<std::string>& fixed_norms() const { return fixed_norms_; }
  /// trained() and running(): all that training changes.
  StateDict changing() const;
  /// All tensors of the architecture, made of the trained ones and the others.
  virtual StateDict model() const = 0;
  /// Writes the folder of the checkpoint, which may replace one of Assay's.
  virtual void write(const std::filesystem::path& folder, const Json& origin) const = 0;

 protected:
  StateDict trained_, running_;
  std::set<std::string> fixed_norms_;
};

/// Trains the tensors that CheckpointRecipe::freeze does not name, or the factors of an adapter.
/// `base`: the folder of the checkpoint that training begins with; empty where that is random.
/// UserErrors, naming `where`, where nothing or something unknown is frozen, and when the adapter's
/// targets name no layer.
std::unique_ptr<const TrainedWeights> trained_weights(
    const Recipe& file, const CheckpointRecipe& recipe, const Architecture& architecture,
    StateDict weights, const std::filesystem::path& base, const std::string& where);

/// The factors of a LoRA adapter of these weights.
std::unique_ptr<const TrainedWeights> adapter_weights(const CheckpointRecipe& recipe,
                                                      const Architecture& architecture,
                                                      StateDict weights,
                                                      const std::filesystem::path& base,
                                                      const std::string& where);

}  // namespace assay
