/// adapter_config.json of a LoRA adapter (Hu et al., arXiv:2106.09685), as PEFT writes it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/checkpoint/internal/layer_pattern.h"
#include "harness/core/json.h"

namespace assay {

class LoraConfig {
 public:
  /// UserError, naming the field, on other kinds of adapter and on variants of LoRA (DoRA, biases,
  /// initialisations that change the base, ...).
  LoraConfig(const Json& json, const std::string& where);

  int64_t rank(const std::string& layer) const;
  /// alpha / r, with rslora alpha / sqrt(r).
  double scale(const std::string& layer) const;
  /// Whether target_modules names the layer; true when it is absent.
  bool targets(const std::string& layer) const;
  /// fan_in_fan_out: weights are stored [in, out], as GPT-2's are.
  bool transposed() const { return transposed_; }

 private:
  struct Override {
    LayerPattern pattern;
    double value;
  };
  std::vector<Override> read_overrides(JsonReader& config, const std::string& key) const;
  double override_value(const std::vector<Override>& overrides, const std::string& layer,
                        double default_value) const;

  std::string where_;
  int64_t rank_ = 8;  // PEFT's defaults
  double alpha_ = 8;
  std::vector<Override> ranks_, alphas_;
  bool root_scaling_ = false, transposed_ = false;
  std::optional<LayerPattern> target_pattern_;
  std::vector<std::string> target_names_;
};

}  // namespace assay
