#include <ATen/ATen.h>

#include <algorithm>

#include "harness/checkpoint/model_texts.h"
#include "harness/checkpoint/side_files.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/glob.h"
#include "harness/model/batch_norm.h"
#include "harness/train/internal/trained_weights.h"

namespace assay {
namespace {

/// What a checkpoint's folder holds next to its weights: the tokenizer's files, as they are or, of
/// a GGUF file, made from it.
CheckpointExtras extras_of(const Recipe& file) {
  CheckpointExtras extras;
  extras.config = file.architecture();
  const fs::path& tokenizer = file.tokenizer_folder();
  if (tokenizer.empty()) return extras;
  extras.copies = side_files(tokenizer).files;
  extras.texts = ModelTexts(tokenizer).made();
  extras.texts.erase("config.json");
  return extras;
}

class FullWeights final : public TrainedWeights {
 public:
  FullWeights(const Recipe& file, const CheckpointRecipe& recipe, const Architecture& architecture,
              StateDict weights, const std::string& where)
      : extras_(extras_of(file)), weights_(std::move(weights)) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : weights_) names.push_back(name);
    for (const std::string& glob : recipe.freeze)
      if (std::none_of(names.begin(), names.end(),
                       [&](const std::string& name) { return matches_glob(glob, name); }))
        user_error("{}: 'freeze' names '{}', and the model has no such tensor.{}", where, glob,
                   suggestion(glob, names));
    const auto is_frozen = [&](const std::string& name) {
      return matches_any(recipe.freeze, name);
    };
    const std::set<std::string> moments = running_moments_of(architecture);
    for (auto& [name, tensor] : weights_)
      if (!is_frozen(name) && !moments.contains(name)) trained_[name] = tensor.requires_grad_(true);
    for (const std::string& layer : batch_norms_of(architecture)) {
      if (is_frozen(layer + ".running_mean")) {
        fixed_norms_.insert(layer);
        continue;
      }
      for (const char* moment : {".running_mean", ".running_var"})
        running_[layer + moment] = weights_.at(layer + moment);
    }
    if (trained_.empty()) user_error("{}: 'freeze' leaves no tensor to train", where);
  }

  StateDict model() const override { return weights_; }
  void write(const fs::path& folder, const Json& origin) const override {
    StateDict weights;
    for (const auto& [name, tensor] : weights_) weights[name] = tensor.detach();
    CheckpointExtras extras = extras_;
    extras.origin = origin;
    write_checkpoint(folder, weights, extras, true);
  }

 private:
  CheckpointExtras extras_;
  StateDict weights_;
};

}  // namespace

StateDict TrainedWeights::changing() const {
  StateDict all = trained_;
  all.insert(running_.begin(), running_.end());
  return all;
}

std::unique_ptr<const TrainedWeights> trained_weights(const Recipe& file,
                                                      const CheckpointRecipe& recipe,
                                                      const Architecture& architecture,
                                                      StateDict weights, const fs::path& base,
                                                      const std::string& where) {
  if (recipe.adapter) return adapter_weights(recipe, architecture, std::move(weights), base, where);
  return std::make_unique<FullWeights>(file, recipe, architecture, std::move(weights), where);
}

}  // namespace assay
