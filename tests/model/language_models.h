/// Shared by tests of language models.
#pragma once

#include <ATen/ATen.h>

#include "harness/core/files.h"
#include "harness/model/generate.h"
#include "harness/model/open.h"
#include "tests/catch.h"

namespace assay {

inline const fs::path kGoldens = fs::path(ASSAY_TESTS_FOLDER) / "golden/models";

inline Json example_config(const std::string& name) {
  Json config = Json::parse(architectures().at(name, "a test").example);
  config["model_type"] = name;
  return config;
}

inline std::shared_ptr<const LanguageArchitecture> language(const Json& config) {
  std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "config.json: $"));
  return std::dynamic_pointer_cast<const LanguageArchitecture>(any);
}

inline at::Tensor last_logits(const LanguageModel& model, const TokenIds& ids) {
  const TokenBatch batch = padded_batch({ids}, Padding::kLeft);
  return model.architecture->logits(model.weights, batch.ids)[0][-1];
}

/// Checks for the reference's greedy tokens, with and without a KV cache, with left and right
/// padding.
template <typename Model>
void check_greedy(const Model& model, const StateDict& weights,
                  const std::vector<TokenIds>& prompts, const Json& expected) {
  const auto greedy = expected.at("greedy").get<std::vector<TokenIds>>();
  GenerateOptions options;
  options.max_new_tokens = static_cast<int64_t>(greedy.front().size());
  for (const bool cached : {true, false})
    for (const Padding padding : {Padding::kLeft, Padding::kRight}) {
      options.use_cache = cached;
      options.padding = padding;
      CHECK(generate(model, weights, prompts, options) == greedy);
    }
}

/// Checks against the reference's results for the model, in expected.json of the folder.
inline void check_against(const LanguageModel& model, const fs::path& folder) {
  const Json expected = read_json(folder / "expected.json");
  const auto prompts = expected.at("prompts").get<std::vector<TokenIds>>();
  for (size_t i = 0; i < prompts.size(); ++i) {
    const at::Tensor wanted =
        at::tensor(expected.at("last_logits")[i].get<std::vector<float>>(), at::kFloat);
    const double range = (wanted.max() - wanted.min()).item<double>();
    CHECK((last_logits(model, prompts[i]) - wanted).abs().max().item<double>() <= 1e-4 * range);
  }
  check_greedy(*model.architecture, model.weights, prompts, expected);
}

inline LanguageModel small_llama(uint64_t seed = 1) {
  LanguageModel model{language(example_config("llama")), {}, at::kCPU, nullptr, ""};
  model.weights = model.architecture->initial_weights(seed);
  for (auto& [name, tensor] : model.weights) tensor.mul_(10);  // so that tokens differ clearly
  return model;
}

}  // namespace assay
