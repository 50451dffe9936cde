// AdaRank: masks of singular components and coefficients that make predictions sure.
#include <c10/core/GradMode.h>
#include <torch/optim/adam.h>

#include "harness/core/cost.h"
#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// One tensor with its task vectors, float64; of a matrix in singular components.
struct Parts {
  at::Tensor origin;
  std::vector<at::Tensor> vectors, u, s, vt, logits;

  Parts(const LabelledClassifiers& models, const std::string& name, bool around_mean,
        int64_t kept) {
    std::vector<at::Tensor> experts;
    for (const StateDict& expert : models.experts)
      experts.push_back(expert.at(name).to(at::kDouble));
    origin = around_mean ? (experts[0] + experts[1]) / 2 : models.base.at(name).to(at::kDouble);
    for (const at::Tensor& expert : experts) {
      vectors.push_back(expert - origin);
      if (expert.dim() < 2) continue;
      const auto [left, values, right] = at::linalg_svd(vectors.back(), /*full_matrices=*/false);
      u.push_back(left);
      s.push_back(values);
      vt.push_back(right);
      logits.push_back(at::full_like(values, -.1));
      logits.back().narrow(0, 0, kept).fill_(.1);
      logits.back().requires_grad_(true);
    }
  }
  /// With masks by the straight-through estimator.
  at::Tensor merged(const at::Tensor& coefficients) const {
    at::Tensor sum = origin;
    for (size_t i = 0; i < vectors.size(); ++i) {
      at::Tensor vector = vectors[i];
      if (!logits.empty()) {
        const at::Tensor soft = (logits[i] / 10).sigmoid();
        const at::Tensor hard = (logits[i] > 0).to(at::kDouble);
        const at::Tensor mask = soft + (hard - soft).detach();
        vector = (u[i] * (mask * s[i])).mm(vt[i]);
      }
      sum = sum + coefficients[static_cast<int64_t>(i)] * vector;
    }
    return sum;
  }
};

/// The method by autograd, in float64. Counts the masks that it changes.
StateDict adarank_reference(const LabelledClassifiers& models, bool around_mean, int64_t kept,
                            double coefficient, int64_t steps, double rate,
                            int64_t* changed = nullptr) {
  const c10::AutoGradMode with_gradients(true);
  std::map<std::string, Parts> parts;
  StateDict coefficients;
  std::vector<at::Tensor> learned;
  for (const auto& [name, unused] : models.base) {
    const Parts& added = parts.emplace(name, Parts(models, name, around_mean, kept)).first->second;
    coefficients[name] = at::full({2}, coefficient, at::kDouble).requires_grad_(true);
    learned.push_back(coefficients[name]);
    learned.insert(learned.end(), added.logits.begin(), added.logits.end());
  }
  const auto merged = [&] {
    StateDict weights;
    for (const auto& [name, part] : parts) weights[name] = part.merged(coefficients.at(name));
    return weights;
  };
  torch::optim::Adam adam(learned, torch::optim::AdamOptions(rate));
  for (int64_t step = 0; step < steps; ++step) {
    const StateDict weights = merged();
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < 2; ++i) {
      const at::Tensor p = at::softmax(LabelledClassifiers::logits(weights, i, 0, kAllExamples), 1);
      loss = loss - (p * p.log()).sum(1).mean();
    }
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  for (const auto& [unused, part] : parts)
    for (const at::Tensor& logits : part.logits)
      for (int64_t k = 0; changed && k < logits.numel(); ++k)
        *changed += (logits[k].item<double>() > 0) != (k < kept);
  StateDict weights = merged();
  for (auto& [unused, tensor] : weights) tensor = tensor.detach();
  return weights;
}

}  // namespace

TEST_CASE("AdaRank with all components and no step is task arithmetic", "[methods][unlabelled]") {
  const LabelledClassifiers models;

  CHECK(model_distance(merge("adarank", {{"steps", 0}, {"coefficient", .4}}, models.inputs),
                       merge("task_arithmetic", {{"scale", .4}}, models.inputs)) < 1e-6);
}

TEST_CASE("AdaRank begins with the leading components", "[methods][unlabelled]") {
  const LabelledClassifiers models;
  const bool around_mean = GENERATE(false, true);
  MergeReport report;
  // Half of the three components of "w", rounded down.
  const StateDict merged = merge(
      "adarank",
      {{"steps", 0}, {"rank", .5}, {"coefficient", .7}, {"origin", around_mean ? "mean" : "base"}},
      models.inputs, &report);

  CHECK(model_distance(merged, adarank_reference(models, around_mean, 1, .7, 0, 0)) < 1e-6);
  CHECK(report.diagnostics.at("kept").get<double>() == Approx(1. / 3));
  CHECK(report.diagnostics.at("coefficient_mean").get<double>() == Approx(.7));
}

TEST_CASE("AdaRank descends as autograd does with straight-through masks",
          "[methods][unlabelled]") {
  const LabelledClassifiers models;
  const bool around_mean = GENERATE(false, true);
  const Json parameters{{"steps", 20},
                        {"batch", kAllExamples},
                        {"rank", .7},
                        {"learning_rate", .03},
                        {"origin", around_mean ? "mean" : "base"}};
  MergeReport report;
  const int64_t before = counters::gradient_steps;
  const StateDict merged = merge("adarank", parameters, models.inputs, &report);

  int64_t changed = 0;
  CHECK(model_distance(merged, adarank_reference(models, around_mean, 2, .3, 20, .03, &changed)) <
        1e-4);
  CHECK(changed > 0);
  CHECK(counters::gradient_steps - before == 20);
  CHECK(report.diagnostics.at("entropy_last").get<double>() <
        report.diagnostics.at("entropy_first").get<double>());
}

TEST_CASE("AdaRank around the mean needs no base", "[methods][unlabelled]") {
  LabelledClassifiers models;
  const StateDict with_base = merge("adarank@cart", {{"steps", 2}}, models.inputs);
  models.inputs.base = nullptr;
  CHECK(same_bytes(merge("adarank@cart", {{"steps", 2}}, models.inputs), with_base));
}
