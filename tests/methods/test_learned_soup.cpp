// Learned soup and aTLAS, which learn from labels.
#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The sum over tensors of coefficient times term, with a coefficient for each term and tensor:
/// raw [terms, tensors].
StateDict sum_of(const std::vector<StateDict>& terms, const at::Tensor& coefficients) {
  StateDict merged;
  int64_t column = 0;
  for (const auto& [name, unused] : terms.front()) {
    at::Tensor& sum = merged[name] = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < terms.size(); ++i)
      sum = sum + coefficients[static_cast<int64_t>(i)][column] * terms[i].at(name);
    ++column;
  }
  return merged;
}

/// The sum over experts of the mean cross-entropy of a step, by autograd in float64.
at::Tensor step_loss(const StateDict& weights, int64_t step, int64_t batch,
                     const at::Tensor& scale) {
  const int64_t all = LabelledClassifiers::kExamples, batches = (all + batch - 1) / batch;
  const int64_t first = step % batches * batch, count = std::min(batch, all - first);
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (size_t i = 0; i < 2; ++i)
    sum =
        sum + at::cross_entropy_loss(scale * LabelledClassifiers::logits(weights, i, first, count),
                                     LabelledClassifiers::classes(i).narrow(0, first, count));
  return sum;
}

}  // namespace

TEST_CASE("a learned soup without a step is the mean", "[methods]") {
  const LabelledClassifiers models;

  CHECK(model_distance(merge("learned_soup", {{"epochs", 0}}, models.inputs),
                       merge("average", Json::object(), models.inputs)) < 1e-6);
}

TEST_CASE("a learned soup descends as autograd does", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  const LabelledClassifiers models;
  at::Tensor raw = at::zeros({2, 4}, at::kDouble).requires_grad_(true);
  at::Tensor scale = at::ones({}, at::kDouble).requires_grad_(true);
  torch::optim::AdamW adam({raw, scale}, torch::optim::AdamWOptions(.05).weight_decay(0));
  const std::vector<StateDict> experts{doubled(models.experts[0]), doubled(models.experts[1])};
  for (int64_t step = 0; step < 15; ++step) {  // 5 epochs of 8, 8 and 4 examples
    adam.zero_grad();
    (step_loss(sum_of(experts, raw.softmax(0)), step, 8, scale) / 2).backward();
    adam.step();
  }
  const c10::NoGradGuard no_gradients;

  MergeReport report;
  const StateDict merged = merge("learned_soup", {{"batch", 8}}, models.inputs, &report);

  CHECK(model_distance(merged, sum_of(experts, raw.softmax(0))) < 1e-4);
  CHECK(report.diagnostics.at("loss_last") < report.diagnostics.at("loss_first"));
  CHECK(report.diagnostics.at("coefficient_mean") == Approx(.5));
}

TEST_CASE("a global soup has one weight per expert", "[methods]") {
  const LabelledClassifiers models;
  const StateDict merged = merge("learned_soup@global", Json::object(), models.inputs);

  // The share of the first expert is the same everywhere, also where the network uses no tensor.
  at::Tensor shares = at::empty({0});
  for (const auto& [name, tensor] : merged) {
    const at::Tensor one = models.experts[0].at(name), two = models.experts[1].at(name);
    shares = at::cat({shares, ((tensor - two) / (one - two)).flatten()});
  }
  CHECK(distance(shares, at::full_like(shares, shares[0].item<float>())) < 1e-3);
  CHECK(std::abs(shares[0].item<float>() - .5) > .01);
}

TEST_CASE("aTLAS begins with the base, or as task arithmetic", "[methods]") {
  const LabelledClassifiers models;

  CHECK(same_bytes(merge("atlas", {{"epochs", 0}}, models.inputs), models.base));
  CHECK(model_distance(merge("atlas", {{"epochs", 0}, {"init", .3}}, models.inputs),
                       merge("task_arithmetic", {{"scale", .3}}, models.inputs)) < 1e-6);
}

TEST_CASE("aTLAS descends as autograd does", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  const LabelledClassifiers models;
  std::vector<StateDict> terms{doubled(models.base), doubled(models.experts[0]),
                               doubled(models.experts[1])};
  for (size_t i = 1; i < 3; ++i)
    for (auto& [name, tensor] : terms[i]) tensor = tensor - terms[0].at(name);
  at::Tensor raw = at::zeros({2, 4}, at::kDouble).requires_grad_(true);
  const auto coefficients = [&] { return at::cat({at::ones({1, 4}, at::kDouble), raw}); };
  // Without the column of "z", which the network does not use and which does not decay.
  torch::optim::AdamW adam({raw}, torch::optim::AdamWOptions(.05).weight_decay(.1));
  for (int64_t step = 0; step < 20; ++step) {
    adam.zero_grad();
    const at::Tensor sum =
        step_loss(sum_of(terms, coefficients()), step, 20, at::ones({}, at::kDouble));
    (sum / 2).backward();  // the mean over experts
    torch::nn::utils::clip_grad_norm_({raw}, 1);
    adam.step();
  }
  const c10::NoGradGuard no_gradients;
  const StateDict merged = merge("atlas", {{"batch", 20}, {"learning_rate", .05}}, models.inputs);

  CHECK(model_distance(merged, sum_of(terms, coefficients())) < 1e-4);
  CHECK(distance(merged.at("z"), models.base.at("z")) == 0);
  CHECK(model_distance(merged, models.base) > .1);
}
