// Uncertainty-based gradient matching, and TATR with gradients.
#include <c10/core/GradMode.h>

#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("gradient matching weighs task vectors by Hessians", "[methods]") {
  FakeEvidence evidence;
  evidence.statistics["fisher"] = {{{"w", at::tensor({3.0f, 0.0f})}},
                                   {{"w", at::tensor({1.0f, 0.0f})}}};
  const at::Tensor base = at::ones({2});
  MergeInputs inputs =
      one_tensor_inputs(base, {base + at::tensor({1.0f, 1.0f}), base + at::tensor({2.0f, 1.0f})});
  inputs.evidence = &evidence;
  const auto merged = [&](const Json& parameters) {
    return merge("gradient_matching", parameters, inputs).at("w") - base;
  };

  // (4 * 1 + 2 * 2) / 5, and 1 + 1 where there is no Fisher information.
  CHECK(distance(merged({{"prior", 1}}), at::tensor({1.6f, 2.0f})) < 1e-6);
  // .5 (4 * 1 + 2 * 2) / 3
  CHECK(distance(merged({{"prior", 1}, {"scale", .5}}), at::tensor({4 / 3.0f, 1.0f})) < 1e-6);
  // (7 * 1 + 1 * 2) / 7
  CHECK(distance(merged({{"prior", 1}, {"weights", {2, 0}}}), at::tensor({9 / 7.0f, 2.0f})) < 1e-6);
  // A large prior is task arithmetic, a small one Fisher merging.
  CHECK(distance(merged({{"prior", 1e6}, {"scale", .3}}), at::tensor({.9f, .6f})) < 1e-5);
  CHECK(distance(merged({{"prior", 1e-12}}).slice(0, 0, 1), at::tensor({1.25f})) < 1e-6);
}

TEST_CASE("TATR with gradients leaves entries at the base where a change meets a steep loss",
          "[methods]") {
  const LabelledClassifiers models;
  const auto gradient = [&](size_t expert) {
    const c10::AutoGradMode with_gradients(true);
    StateDict leaves;
    for (const auto& [name, tensor] : doubled(models.base))
      leaves[name] = tensor.detach().requires_grad_(true);
    constexpr int64_t kSome = 15;
    at::cross_entropy_loss(LabelledClassifiers::logits(leaves, expert, 0, kSome),
                           LabelledClassifiers::classes(expert).narrow(0, 0, kSome))
        .backward();
    StateDict sizes;
    for (const auto& [name, leaf] : leaves)
      sizes[name] = leaf.grad().defined() ? leaf.grad().abs() : at::zeros_like(leaf);
    return sizes;
  };
  const std::vector<StateDict> steep{gradient(0), gradient(1)};
  StateDict conflicts, sums;
  std::vector<double> all;
  for (const auto& [name, base] : doubled(models.base)) {
    const at::Tensor one = models.experts[0].at(name) - base,
                     two = models.experts[1].at(name) - base;
    sums[name] = one + two;
    conflicts[name] = steep[0].at(name) * two.abs() + steep[1].at(name) * one.abs();
    const at::Tensor flat = conflicts[name].flatten();
    for (int64_t i = 0; i < flat.numel(); ++i) all.push_back(flat[i].item<double>());
  }
  std::sort(all.begin(), all.end());
  const double border = all[all.size() * 6 / 10 - 1] * (1 + 1e-9);

  const StateDict merged = merge(
      "tatr",
      {{"conflict", "gradients"}, {"quantile", .6}, {"scale", .5}, {"examples", 15}, {"batch", 4}},
      models.inputs);
  bool some = false;
  for (const auto& [name, base] : doubled(models.base)) {
    INFO(name);
    const at::Tensor outside = conflicts[name] > border;
    some |= outside.any().item<bool>();
    CHECK(distance(merged.at(name), base + .5 * sums[name].masked_fill(outside, 0)) < 1e-6);
  }
  CHECK(some);
  // The network does not use "z": there is no conflict.
  CHECK(distance(merged.at("z"), models.base.at("z") + .5 * sums["z"]) < 1e-6);
}
