// What learned merges share: sums with coefficients and their gradients, MoFO, batches.
#include <c10/core/GradMode.h>

#include "methods/learned/descent.h"
#include "methods/learned/mofo.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// A tensor with a coefficient for each column, one with a single coefficient of the same group as
/// another, and one that is not trained.
struct Model {
  LearnedModel learned;
  size_t columns, whole;

  explicit Model(LearnedModel::Constraint constraint = nullptr) : learned(constraint) {
    columns = learned.add_group(at::tensor({.5, 1., -.2, .3, .7, .1}, at::kDouble).reshape({2, 3}));
    whole = learned.group_of("both", 2, .25);
    const size_t fixed = learned.add_group(at::full({2, 1}, .5, at::kDouble), false);
    learned.add({.name = "a", .group = columns, .terms = terms(1, {2, 3}), .shape = {1, 3}});
    learned.add({.name = "b", .group = whole, .base = noise({4}, 7), .terms = terms(3, {4})});
    learned.add({.name = "c", .group = whole, .terms = terms(5, {2})});
    learned.add({.name = "d", .group = fixed, .terms = terms(9, {2})});
  }
  static std::vector<at::Tensor> terms(uint64_t key, at::IntArrayRef shape) {
    return {noise(shape, key), noise(shape, key + 1)};
  }
};

/// Something that depends on every entry of the weights, and not linearly.
at::Tensor loss_of(const StateDict& weights) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const auto& [unused, tensor] : weights)
    sum = sum + tensor.to(at::kDouble).sin().square().sum();
  return sum;
}

}  // namespace

TEST_CASE("tensors are sums with a coefficient per column or per tensor", "[methods]") {
  LearnedModel model;
  const size_t columns =
      model.add_group(at::tensor({1., 2., 0., 10.}, at::kDouble).reshape({2, 2}));
  const std::vector<at::Tensor> terms{at::tensor({1.f, 1.f, 3.f, 1.f}).reshape({2, 2}),
                                      at::tensor({5.f, 1.f, 5.f, 2.f}).reshape({2, 2})};
  model.add({.name = "columns", .group = columns, .terms = terms, .shape = {1, 2}});
  model.add({.name = "rows", .group = columns, .terms = terms, .shape = {2, 1}});
  model.add({.name = "whole",
             .group = model.group_of("", 2, .5),
             .base = at::ones({2, 2}),
             .terms = terms});

  const StateDict weights = model.weights(false);

  CHECK(at::equal(weights.at("columns"), at::tensor({1.f, 12.f, 3.f, 22.f}).reshape({2, 2})));
  CHECK(at::equal(weights.at("rows"), at::tensor({1.f, 1.f, 56.f, 22.f}).reshape({2, 2})));
  CHECK(at::equal(weights.at("whole"), at::tensor({4.f, 2.f, 5.f, 2.5f}).reshape({2, 2})));
}

TEST_CASE("chunks of a tensor have coefficients of their own", "[methods][unlabelled]") {
  const c10::AutoGradMode with_gradients(true);
  LearnedModel model;
  // Chunks of two entries, the last of one.
  const size_t group =
      model.add_group(at::tensor({1., 2., 3., 10., 20., 30.}, at::kDouble).reshape({2, 3}));
  model.add({.name = "w",
             .group = group,
             .base = at::ones({5, 1}),
             .terms = {at::tensor({1.f, 2.f, 3.f, 4.f, 5.f}).reshape({5, 1}), at::ones({5, 1})},
             .chunk = 2});
  const StateDict weights = model.weights(true);
  CHECK(at::equal(weights.at("w").detach().flatten(), at::tensor({12.f, 13.f, 27.f, 29.f, 46.f})));

  const at::Tensor slopes = at::tensor({1.f, 1.f, 2.f, 1.f, 3.f}).reshape({5, 1});
  (weights.at("w") * slopes).sum().backward();
  model.add_gradients(weights);
  CHECK(at::equal(model.raw(group).grad(),
                  at::tensor({3., 10., 15., 2., 3., 3.}, at::kDouble).reshape({2, 3})));
}

TEST_CASE("coefficients have the gradients of finite differences", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  const bool constrained = GENERATE(false, true);
  const Model model(constrained ? [](const at::Tensor& raw) { return raw.tanh(); }
                                : LearnedModel::Constraint{});
  const StateDict weights = model.learned.weights(true);
  loss_of(weights).backward();
  model.learned.add_gradients(weights);

  constexpr double kStep = 1e-3;  // the weights are float32
  for (const at::Tensor& parameter : model.learned.parameters()) {
    REQUIRE(parameter.grad().defined());
    for (int64_t i = 0; i < parameter.numel(); ++i) {
      const c10::NoGradGuard no_gradients;
      const at::Tensor entry = parameter.flatten()[i];
      entry.add_(kStep);
      const double above = loss_of(model.learned.weights(false)).item<double>();
      entry.sub_(2 * kStep);
      const double below = loss_of(model.learned.weights(false)).item<double>();
      entry.add_(kStep);
      const double gradient = parameter.grad().flatten()[i].item<double>();
      CHECK(std::abs(gradient - (above - below) / (2 * kStep)) < 2e-4);
    }
  }
}

TEST_CASE("coefficients of tensors without a gradient get none", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  const Model model;
  const StateDict weights = model.learned.weights(true);
  weights.at("b").sum().backward();
  model.learned.add_gradients(weights);

  CHECK(!model.learned.raw(model.columns).grad().defined());
  CHECK(model.learned.raw(model.whole).grad().defined());
  CHECK(model.learned.parameters().size() == 2);
}

TEST_CASE("MoFO changes the entries of the largest momentum", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  at::Tensor parameter = at::ones({2, 4}, at::kDouble).requires_grad_(true);
  Mofo mofo({parameter}, torch::optim::AdamWOptions(.1).weight_decay(.5), .5);
  parameter.mutable_grad() =
      at::tensor({4., -3., 2., 1., 1., 1., 1., -5.}, at::kDouble).reshape({2, 4}).clone();
  mofo.step();

  // Adam's first step is the learning rate, by sign. All entries decay by 1 - 0.1 x 0.5; entries
  // that tie with the last of the largest change, too.
  const at::Tensor expected =
      at::tensor({.85, 1.05, .95, .95, .85, .85, .85, 1.05}, at::kDouble).reshape({2, 4});
  CHECK(distance(parameter.detach(), expected) < 1e-6);
  CHECK(!parameter.grad().defined());

  // The second row's momentum is now largest in its third entry.
  parameter.mutable_grad() =
      at::tensor({0., 0., 0., 0., 0., 0., 100., 0.}, at::kDouble).reshape({2, 4}).clone();
  const at::Tensor before = parameter.detach().clone();
  mofo.step();
  const at::Tensor moved = (parameter.detach() - before * .95).abs() > 1e-6;
  CHECK(at::equal(moved[1], at::tensor({0, 0, 1, 1}).to(at::kBool)));
}

TEST_CASE("steps go over all examples of the expert that has most", "[methods]") {
  const FakeNetwork network({20, 5}, {});

  CHECK(steps_of(network, 2, 3, 8) == 9);
  CHECK(batch_of(network, 0, 2, 8).first == 16);
  CHECK(batch_of(network, 0, 2, 8).count == 4);
  CHECK(batch_of(network, 1, 2, 8).first == 0);
  CHECK(batch_of(network, 1, 2, 8).count == 5);
}

TEST_CASE("tensors share coefficients by block, module or not at all", "[methods]") {
  FakeEvidence evidence;
  evidence.blocks = {{"layers.3.q.weight", 3}, {"layers.3.v.weight", 3}};

  CHECK(sharing_key(Sharing::kTask, evidence, "a") == sharing_key(Sharing::kTask, evidence, "b"));
  CHECK(sharing_key(Sharing::kLayer, evidence, "layers.3.q.weight") ==
        sharing_key(Sharing::kLayer, evidence, "layers.3.v.weight"));
  CHECK(sharing_key(Sharing::kLayer, evidence, "head.weight") ==
        sharing_key(Sharing::kLayer, evidence, "head.bias"));
  CHECK(sharing_key(Sharing::kTensor, evidence, "head.weight") !=
        sharing_key(Sharing::kTensor, evidence, "head.bias"));
}
