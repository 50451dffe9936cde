// FW-Merging and LM-Cocktail, which look at labels but learn no coefficients.
#include <c10/core/GradMode.h>

#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor mean_loss(const StateDict& weights, int64_t count = kAllExamples) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (size_t i = 0; i < 2; ++i)
    sum = sum + at::cross_entropy_loss(LabelledClassifiers::logits(weights, i, 0, count),
                                       LabelledClassifiers::classes(i).narrow(0, 0, count)) /
                    2;
  return sum;
}

/// By tensor, of each model: the cosine of the model's tensor and the loss' gradient at `weights`.
std::map<std::string, std::vector<double>> gradient_cosines(const StateDict& weights,
                                                            const std::vector<StateDict>& models) {
  const c10::AutoGradMode with_gradients(true);
  StateDict leaves;
  for (const auto& [name, tensor] : weights) leaves[name] = tensor.detach().requires_grad_(true);
  mean_loss(leaves).backward();
  std::map<std::string, std::vector<double>> values;
  for (const auto& [name, tensor] : leaves) {
    const at::Tensor& g = tensor.grad();
    if (!g.defined()) continue;
    for (const StateDict& model : models)
      values[name].push_back(
          ((g * model.at(name)).sum() / (g.norm() * model.at(name).norm())).item<double>());
  }
  return values;
}

size_t least(const std::vector<double>& values) {
  return static_cast<size_t>(std::min_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

TEST_CASE("FW-Merging without a step is task arithmetic", "[methods]") {
  const LabelledClassifiers models;

  CHECK(model_distance(merge("fw_merging", {{"steps", 0}}, models.inputs),
                       merge("task_arithmetic", {{"scale", .3}}, models.inputs)) < 1e-6);
}

TEST_CASE("FW-Merging steps towards the model that is least aligned with the gradient",
          "[methods]") {
  const LabelledClassifiers models;
  const bool by_tensor = GENERATE(false, true);
  std::vector<StateDict> vertices{doubled(models.experts[0]), doubled(models.experts[1])};
  StateDict merged;
  for (const auto& [name, tensor] : doubled(models.base))
    merged[name] = .6 * tensor + .2 * vertices[0].at(name) + .2 * vertices[1].at(name);
  vertices.push_back(merged);
  for (int64_t step = 0; step < 5; ++step) {
    const auto values = gradient_cosines(merged, vertices);
    std::vector<double> sums(3);
    for (const auto& [unused, of_tensor] : values)
      for (size_t j = 0; j < 3; ++j) sums[j] += of_tensor[j];
    const double share = 2. / (static_cast<double>(step) + 2) * .5 * .2;
    for (auto& [name, tensor] : merged) {
      const size_t chosen =
          by_tensor && values.contains(name) ? least(values.at(name)) : least(sums);
      tensor = (1 - share) * tensor + share * vertices[chosen].at(name);
    }
  }
  const Json parameters{{"steps", 5},
                        {"step_size", .5},
                        {"scale", .2},
                        {"examples", kAllExamples},
                        {"batch", kAllExamples},
                        {"selection", by_tensor ? "tensor" : "task"}};

  CHECK(model_distance(merge("fw_merging", parameters, models.inputs), merged) < 1e-5);
}

TEST_CASE("LM-Cocktail weighs experts by their losses", "[methods]") {
  const LabelledClassifiers models;
  const double one = mean_loss(models.experts[0], 12).item<double>(),
               two = mean_loss(models.experts[1], 12).item<double>();
  const double share = 1 / (1 + std::exp((one - two) / .2));
  const Json parameters{{"temperature", .2}, {"examples", 12}, {"batch", 5}};

  const StateDict merged = merge("lm_cocktail", parameters, models.inputs);

  for (const auto& [name, tensor] : merged)
    CHECK(distance(tensor, share * models.experts[0].at(name) +
                               (1 - share) * models.experts[1].at(name)) < 1e-5);
  CHECK(std::abs(share - .5) > .01);
}
