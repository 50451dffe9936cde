/// Small routed ensembles.
#pragma once

#include "harness/model/routed.h"
#include "tests/model/language_models.h"

namespace assay {

inline std::shared_ptr<const LanguageArchitecture> routed_member() {
  const Json config = {
      {"model_type", "llama"},    {"vocab_size", 128},      {"hidden_size", 8},
      {"intermediate_size", 12},  {"num_hidden_layers", 2}, {"num_attention_heads", 2},
      {"num_key_value_heads", 1}, {"rms_norm_eps", 1e-6},   {"max_position_embeddings", 64}};
  std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "a test"));
  return std::dynamic_pointer_cast<const LanguageArchitecture>(any);
}

/// Random weights that are large enough for members to differ.
inline RoutedModel routed_model(const RoutingOptions& options,
                                std::shared_ptr<const Tokenizer> tokenizer = nullptr) {
  auto architecture = std::make_shared<const RoutedArchitecture>(routed_member(), options);
  StateDict weights = architecture->initial_weights(7);
  for (auto& [name, weight] : weights) weight = 20 * weight;
  return {std::move(architecture), std::move(weights), at::kCPU, std::move(tokenizer), ""};
}

/// One of its members.
inline LanguageModel member_of(const RoutedModel& model, size_t member) {
  const std::string prefix = fmt::format("members.{}.", member);
  StateDict weights;
  for (const auto& [name, weight] : model.weights)
    if (name.starts_with(prefix)) weights[name.substr(prefix.size())] = weight;
  return {routed_member(), std::move(weights), model.device, model.tokenizer, ""};
}

}  // namespace assay
