/// Small models of which mixtures of experts are made.
#pragma once

#include "harness/model/architecture.h"
#include "tests/merge/models.h"

namespace assay::testing {

inline Json small_llama_config() {
  return {{"model_type", "llama"},    {"vocab_size", 16},       {"hidden_size", 8},
          {"intermediate_size", 12},  {"num_hidden_layers", 2}, {"num_attention_heads", 2},
          {"num_key_value_heads", 1}, {"rms_norm_eps", 1e-6}};
}

/// A mixture of six experts, two of which a token is sent to.
inline Json small_mixtral_config() {
  Json config = small_llama_config();
  config["model_type"] = "mixtral";
  config["num_local_experts"] = 6;
  config["num_experts_per_tok"] = 2;
  return config;
}

/// A model of two blocks; those of different keys differ by noise.
inline StateDict small_model(uint64_t key, const Json& config = small_llama_config()) {
  StateDict weights = make_architecture(JsonReader(config, "test"))->initial_weights(1);
  uint64_t number = 1000 * key;
  for (auto& [unused, tensor] : weights)
    tensor = 10 * tensor + (key == 0 ? 0 : .3) * noise(tensor.sizes(), ++number);
  return weights;
}

/// A base and so many experts.
inline MergeInputs small_models(size_t experts, const Json& config = small_llama_config()) {
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = config;
  inputs.base = source("base", small_model(0, config));
  for (size_t i = 0; i < experts; ++i)
    inputs.experts.push_back(source(fmt::format("expert {}", i), small_model(i + 1, config)));
  return inputs;
}

}  // namespace assay::testing
