// Concrete subspace learning: relaxed Bernoulli masks, their gradients, and the method.
#include <c10/core/GradMode.h>

#include <cmath>

#include "harness/core/hash.h"
#include "methods/learned/relaxed_masks.h"
#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr double kTemperature = 0.5;

/// What the noise of these elements is to be, from the generator's bits.
at::Tensor noise_by_hand(uint64_t key, int64_t count) {
  at::Tensor noise = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i) {
    const double u =
        ((philox_bits(key, static_cast<uint64_t>(i)) >> 9) + .5) / static_cast<double>(1 << 23);
    noise[i] = std::log(u / (1 - u));
  }
  return noise;
}

uint64_t key_of(uint64_t key, int64_t step) {
  return Hasher().number(key).number(static_cast<uint64_t>(step)).low64();
}

/// base + mask / mean(mask) change, in float64.
at::Tensor masked_by_hand(const at::Tensor& base, const at::Tensor& change,
                          const at::Tensor& mask) {
  return base.to(at::kDouble) + mask / mask.mean() * change.to(at::kDouble);
}

at::Tensor concrete_loss(const at::Tensor& weights) { return weights.to(at::kDouble).sin().sum(); }

}  // namespace

TEST_CASE("logistic noise is a function of key and index", "[methods][unlabelled]") {
  CHECK(distance(logistic_noise(7, {9}), noise_by_hand(7, 9)) < 1e-5);
  CHECK(logistic_noise(7, {}).dim() == 0);
  CHECK(logistic_noise(7, {0, 3}).numel() == 0);
  constexpr int64_t kCount = 40000;
  const at::Tensor probabilities = logistic_noise(8, {kCount}).sigmoid();
  CHECK(probabilities.isfinite().all().item<bool>());
  for (const double share : {.1, .5, .9}) {
    const double below = (probabilities < share).to(at::kDouble).mean().item<double>();
    CHECK(std::abs(below - share) < 5 * std::sqrt(share * (1 - share) / kCount));
  }
}

TEST_CASE("masks are relaxed Bernoulli draws, divided by their mean", "[methods][unlabelled]") {
  const at::Tensor base = noise({2, 3}, 1), change = noise({2, 3}, 2);
  RelaxedMasks masks(kTemperature, .3);
  masks.add({.name = "w", .base = base, .change = change, .key = 5});
  const at::Tensor noisy = .3 + noise_by_hand(key_of(5, 4), 6).reshape({2, 3});

  masks.draw(4, MaskType::kContinuous);
  CHECK(distance(masks.weights(false).at("w"),
                 masked_by_hand(base, change, (noisy / kTemperature).sigmoid())) < 1e-5);

  masks.draw(4, MaskType::kDiscrete);
  const at::Tensor binary = (noisy > 0).to(at::kDouble);
  REQUIRE(binary.sum().item<double>() > 0);
  CHECK(distance(masks.weights(false).at("w"), masked_by_hand(base, change, binary)) < 1e-5);
}

TEST_CASE("a mask of zeros gives the base, one of ones the merge", "[methods][unlabelled]") {
  const at::Tensor base = noise({5}, 1), change = noise({5}, 2);
  for (const auto type : {MaskType::kContinuous, MaskType::kDiscrete}) {
    RelaxedMasks none(kTemperature, -100), all(kTemperature, 100);
    for (RelaxedMasks* masks : {&none, &all}) {
      masks->add({.name = "w", .base = base, .change = change, .key = 5});
      masks->add({.name = "empty", .base = at::zeros({0, 3}), .change = at::zeros({0, 3})});
      masks->draw(0, type);
    }
    CHECK(at::equal(none.weights(false).at("w"), base));
    CHECK(at::equal(all.weights(false).at("w"), base + change));
    CHECK(all.weights(false).at("empty").numel() == 0);
  }
}

TEST_CASE("logits of masks have the gradients of autograd", "[methods][unlabelled]") {
  const c10::AutoGradMode with_gradients(true);
  const at::Tensor base = noise({2, 3}, 1), change = 2 * noise({2, 3}, 2);
  RelaxedMasks masks(kTemperature, .3);
  masks.add({.name = "w", .base = base, .change = change, .key = 5});
  masks.add({.name = "unused", .base = base, .change = change, .key = 6});
  masks.draw(1, MaskType::kContinuous);
  const StateDict weights = masks.weights(true);
  concrete_loss(weights.at("w")).backward();
  masks.add_gradients(weights);

  const at::Tensor logits = at::full({2, 3}, .3, at::kDouble).requires_grad_(true);
  const at::Tensor noisy = logits + noise_by_hand(key_of(5, 1), 6).reshape({2, 3});
  concrete_loss(masked_by_hand(base, change, (noisy / kTemperature).sigmoid())).backward();
  REQUIRE(logits.grad().abs().max().item<double>() > .01);
  CHECK(distance(masks.parameters()[0].grad(), logits.grad()) < 1e-5);
  CHECK(!masks.parameters()[1].grad().defined());
}

TEST_CASE("Concrete masks what another method adds to the base", "[methods][unlabelled]") {
  LabelledClassifiers models;
  models.inputs.seed = 42;
  std::vector<StateDict> seen;
  models.evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>(2, LabelledClassifiers::kExamples),
      [&](const StateDict& weights, size_t expert, int64_t first, int64_t count) {
        seen.push_back(weights);
        return LabelledClassifiers::logits(weights, expert, first, count);
      });
  const StateDict whole = merge("task_arithmetic", {{"scale", .5}}, models.inputs);
  const Json parameters{{"steps", 2}, {"of", {{"method", "task_arithmetic"}, {"scale", .5}}}};

  const StateDict result = merge("concrete", parameters, models.inputs);
  seen.push_back(result);
  // Two experts in each step, and the result.
  REQUIRE(seen.size() == 5);
  CHECK(model_distance(seen[0], seen[1]) == 0);
  CHECK(model_distance(seen[0], seen[2]) > .01);  // each step has draws of its own
  CHECK(model_distance(seen[2], seen[4]) > .01);
  for (const StateDict& weights : seen)
    for (const auto& [name, tensor] : weights) {
      const at::Tensor base = models.base.at(name).to(at::kDouble);
      const at::Tensor mask =
          (tensor.detach().to(at::kDouble) - base) / (whole.at(name).to(at::kDouble) - base);
      CAPTURE(name);
      CHECK(mask.min().item<double>() >= -1e-3);
      CHECK(std::abs(mask.mean().item<double>() - 1) < 1e-3);  // of quotients of float32
    }

  CHECK(same_bytes(merge("concrete", parameters, models.inputs), result));
  models.inputs.seed = 43;
  CHECK(model_distance(merge("concrete", parameters, models.inputs), result) > .01);
}

TEST_CASE("Concrete learns masks that make the model surer", "[methods][unlabelled]") {
  LabelledClassifiers models;
  MergeReport report;
  const StateDict merged =
      merge("concrete", {{"steps", 300}, {"learning_rate", .1}}, models.inputs, &report);

  CHECK(report.diagnostics.at("entropy_last").get<double>() <
        report.diagnostics.at("entropy_first").get<double>());
  const double mean = report.diagnostics.at("mask_mean").get<double>();
  CHECK((mean > 0 && mean < 1));
}
