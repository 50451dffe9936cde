#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/checkpoint/output_folder.h"
#include "harness/checkpoint/own_folder.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/rng.h"
#include "harness/model/batch_norm.h"
#include "harness/model/encoder.h"
#include "harness/model/layers_of.h"
#include "harness/model/sequence_to_sequence.h"
#include "harness/train/internal/trained_weights.h"

namespace assay {
namespace {

constexpr int kIndent = 2;
constexpr const char* kAdapterWeights = "adapter_model.safetensors";
constexpr std::string_view kWeight = ".weight";

/// As PEFT's target_modules: the whole name, or what follows a dot.
bool is_target(const std::string& layer, const std::string& target) {
  return layer == target || layer.ends_with("." + target);
}

const char* task_type(const Architecture& architecture) {
  if (const auto* encoder = dynamic_cast<const EncoderArchitecture*>(&architecture))
    return encoder->classes() > 0 ? "SEQ_CLS" : "FEATURE_EXTRACTION";
  return dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture) ? "SEQ_2_SEQ_LM"
                                                                            : "CAUSAL_LM";
}

/// Uniform with the bound of PEFT (kaiming_uniform_ with a = sqrt(5)): 1 / sqrt(inputs).
at::Tensor first_factor(int64_t rank, int64_t inputs, uint64_t seed, const std::string& layer) {
  at::Tensor factor = at::empty({rank, inputs}, at::kFloat);
  Rng rng(seed, "lora_A of " + layer);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  float* values = factor.data_ptr<float>();
  for (int64_t i = 0; i < factor.numel(); ++i)
    values[i] = static_cast<float>(rng.uniform(-bound, bound));
  return factor;
}

class AdapterWeights final : public TrainedWeights {
 public:
  AdapterWeights(const CheckpointRecipe& recipe, const Architecture& architecture,
                 StateDict weights, const fs::path& base, const std::string& where)
      : recipe_(*recipe.adapter),
        task_type_(task_type(architecture)),
        base_(base),
        weights_(std::move(weights)) {
    if (!recipe.freeze.empty())
      user_error("{}: 'freeze' and 'adapter': an adapter's base is not trained at all", where);
    const std::vector<std::string> norms = batch_norms_of(architecture);
    fixed_norms_ = {norms.begin(), norms.end()};
    std::vector<std::string> used;
    for (const LayerInfo& info : layers_of(architecture)) {
      const std::string layer = info.weight.substr(0, info.weight.size() - kWeight.size());
      const auto target =
          std::find_if(recipe_.targets.begin(), recipe_.targets.end(),
                       [&](const std::string& name) { return is_target(layer, name); });
      if (info.kind != LayerKind::kLinear || target == recipe_.targets.end()) continue;
      used.push_back(*target);
      transposed_ = info.in_out;
      const at::Tensor& weight = weights_.at(info.weight);
      const int64_t inputs = weight.size(info.in_out ? 0 : 1);
      trained_[layer + ".lora_A.weight"] =
          first_factor(recipe_.rank, inputs, recipe.seed, layer).requires_grad_(true);
      trained_[layer + ".lora_B.weight"] =
          at::zeros({weight.size(info.in_out ? 1 : 0), recipe_.rank}).requires_grad_(true);
      layers_.push_back(layer);
    }
    for (const std::string& target : recipe_.targets)
      if (std::find(used.begin(), used.end(), target) == used.end())
        user_error("{}: adapter.targets names '{}', and the model has no such linear layer", where,
                   target);
  }

  StateDict model() const override {
    StateDict all = weights_;
    const double scale = recipe_.alpha / static_cast<double>(recipe_.rank);
    for (const std::string& layer : layers_) {
      at::Tensor& weight = all.at(layer + std::string(kWeight));
      const at::Tensor product =
          trained_.at(layer + ".lora_B.weight").matmul(trained_.at(layer + ".lora_A.weight"));
      weight = weight + scale * (transposed_ ? product.t() : product);
    }
    return all;
  }

  void write(const fs::path& folder, const Json& origin) const override {
    OutputFolder output(folder, true, {});
    output.clear([](const std::string&) { return false; });
    const fs::path& place = output.unfinished();
    try {
      StateDict stored;
      for (const auto& [name, tensor] : trained_)
        stored["base_model.model." + name] = tensor.detach();
      write_file(place / kAdapterWeights, safetensors_bytes(stored));
      write_file(place / "adapter_config.json", config().dump(kIndent) + "\n");
      Json described = origin;
      described["files"] = written_files(place, {OutputFolder::kMarker});
      write_file(place / "assay.json", described.dump(kIndent) + "\n");
      output.complete();
      output.commit();
    } catch (...) {
      output.remove();
      throw;
    }
  }

 private:
  Json config() const {
    return {{"peft_type", "LORA"},
            {"task_type", task_type_},
            {"base_model_name_or_path", base_.string()},
            {"r", recipe_.rank},
            {"lora_alpha", recipe_.alpha},
            {"lora_dropout", 0.0},
            {"target_modules", recipe_.targets},
            {"fan_in_fan_out", transposed_},
            {"bias", "none"},
            {"inference_mode", true}};
  }

  AdapterRecipe recipe_;
  std::string task_type_;
  fs::path base_;
  StateDict weights_;
  std::vector<std::string> layers_;
  bool transposed_ = false;  // weights are stored [in, out]
};

}  // namespace

std::unique_ptr<const TrainedWeights> adapter_weights(const CheckpointRecipe& recipe,
                                                      const Architecture& architecture,
                                                      StateDict weights, const fs::path& base,
                                                      const std::string& where) {
  return std::make_unique<AdapterWeights>(recipe, architecture, std::move(weights), base, where);
}

}  // namespace assay
