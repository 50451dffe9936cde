/// Classifiers with a layer and a norm before it, and labelled examples of two experts.
#pragma once

#include "tests/methods/fake_evidence.h"

namespace assay::testing {

struct LabelledClassifiers {
  static constexpr int64_t kExamples = 20;

  FakeEvidence evidence;
  MergeInputs inputs;
  StateDict base = model(1);
  std::vector<StateDict> experts{model(2), model(3)};

  explicit LabelledClassifiers(size_t number = 2) {
    experts.resize(number);
    evidence.layers["w"] = {.weight = "w", .bias = "b", .inputs = 4, .input = "w"};
    evidence.of_network =
        std::make_shared<FakeNetwork>(std::vector<int64_t>(number, kExamples), logits,
                                      [](size_t expert, int64_t first, int64_t count) {
                                        return classes(expert).narrow(0, first, count);
                                      });
    inputs.evidence = &evidence;
    inputs.base = source("base", base);
    for (size_t i = 0; i < number; ++i)
      inputs.experts.push_back(source(fmt::format("expert {}", i), experts[i]));
  }
  LabelledClassifiers(const LabelledClassifiers&) = delete;
  LabelledClassifiers& operator=(const LabelledClassifiers&) = delete;

  /// Layer "w" with the bias "b", norm "n", and "z", which the network does not use.
  static StateDict model(uint64_t key) {
    return {{"w", noise({3, 4}, key)},
            {"b", noise({3}, 10 + key)},
            {"n", 1 + noise({4}, 20 + key)},
            {"z", noise({2}, 30 + key)}};
  }
  static at::Tensor examples(size_t expert) { return noise({kExamples, 4}, 50 + expert); }
  static at::Tensor classes(size_t expert) {
    return at::arange(kExamples).add(static_cast<int64_t>(expert)).remainder(3);
  }
  /// In the weights' dtype.
  static at::Tensor logits(const StateDict& weights, size_t expert, int64_t first, int64_t count) {
    const at::Tensor x = examples(expert).narrow(0, first, count).to(weights.at("w").dtype());
    return at::linear(x * weights.at("n"), weights.at("w"), weights.at("b"));
  }
};

/// How many examples an expert has.
inline constexpr int64_t kAllExamples = LabelledClassifiers::kExamples;

}  // namespace assay::testing
