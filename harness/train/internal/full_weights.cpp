#include <ATen/ATen.h>
#include <fnmatch.h>

#include <algorithm>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/model/batch_norm.h"
#include "harness/train/internal/trained_weights.h"

namespace assay {
namespace {

bool matches(const std::string& glob, const std::string& tensor) {
  return ::fnmatch(glob.c_str(), tensor.c_str(), 0) == 0;
}

/// The tokenizer's files, which a checkpoint's folder holds too.
std::map<fs::path, fs::path> tokenizer_files(const fs::path& folder) {
  std::map<fs::path, fs::path> files;
  if (folder.empty()) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool is_of_model = name == "config.json" || name == "assay.json" || name == "README.md" ||
                             name.ends_with(".safetensors");
    if (entry.is_regular_file() && !name.starts_with('.') && !is_of_model)
      files[name] = entry.path();
  }
  return files;
}

class FullWeights final : public TrainedWeights {
 public:
  FullWeights(const Recipe& file, const CheckpointRecipe& recipe, const Architecture& architecture,
              StateDict weights, const std::string& where)
      : config_(file.architecture()),
        copies_(tokenizer_files(file.tokenizer_folder())),
        weights_(std::move(weights)) {
    for (const std::string& glob : recipe.freeze)
      if (std::none_of(weights_.begin(), weights_.end(),
                       [&](const auto& entry) { return matches(glob, entry.first); }))
        user_error("{}: 'freeze' names '{}', and the model has no such tensor", where, glob);
    const auto is_frozen = [&](const std::string& name) {
      return std::any_of(recipe.freeze.begin(), recipe.freeze.end(),
                         [&](const std::string& glob) { return matches(glob, name); });
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
    write_checkpoint(folder, weights, {config_, origin, "", copies_}, true);
  }

 private:
  Json config_;
  std::map<fs::path, fs::path> copies_;
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
