// ProDistill: coefficients per entry, layer by layer, against Adam on the layers' outputs.
#include <c10/core/GradMode.h>
#include <torch/optim/adam.h>

#include <cmath>

#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kInputs = 20;

/// A layer "w" with a bias after a norm "n", and a layer "v" of what it gives. "v" is stored
/// [in, out].
struct LayerByLayer {
  FakeEvidence evidence;
  MergeInputs inputs;
  StateDict base = model(1);
  std::vector<StateDict> experts{model(2), model(3)};

  LayerByLayer() {
    evidence.layers["w"] = {.weight = "w", .bias = "b", .inputs = 4, .depth = 0, .input = "w"};
    evidence.layers["v"] = {.weight = "v", .in_out = true, .inputs = 3, .depth = 1, .input = "v"};
    const auto network =
        std::make_shared<FakeNetwork>(std::vector<int64_t>{kInputs, kInputs},
                                      [](const StateDict&, size_t, int64_t, int64_t) -> at::Tensor {
                                        throw std::logic_error("no logits");
                                      });
    network->observed = [](const StateDict& weights, size_t expert, int64_t first, int64_t count,
                           const SeeLayer& see) {
      const at::Tensor x = normed(weights, expert).narrow(0, first, count);
      see("w", [&](LayerValue) { return x; });
      see("v", [&](LayerValue) { return hidden(weights, x); });
    };
    evidence.of_network = network;
    inputs.evidence = &evidence;
    inputs.base = source("base", base);
    for (const StateDict& expert : experts) inputs.experts.push_back(source("expert", expert));
  }
  LayerByLayer(const LayerByLayer&) = delete;
  LayerByLayer& operator=(const LayerByLayer&) = delete;

  static StateDict model(uint64_t key) {
    return {{"w", noise({3, 4}, key)},
            {"b", noise({3}, 10 + key)},
            {"v", noise({3, 2}, 20 + key)},
            {"n", 1 + noise({4}, 30 + key)}};
  }
  static at::Tensor normed(const StateDict& weights, size_t expert) {
    return noise({kInputs, 4}, 50 + expert).to(weights.at("n").dtype()) * weights.at("n");
  }
  static at::Tensor hidden(const StateDict& weights, const at::Tensor& x) {
    return at::linear(x, weights.at("w"), weights.at("b")).relu();
  }
  static at::Tensor output(const StateDict& weights, const at::Tensor& x) {
    return x.mm(weights.at("v"));
  }
};

/// Learns these tensors, in float64, so that `given` is what the experts give.
void learn(const LayerByLayer& models, const std::vector<std::string>& names, int64_t steps,
           double rate, const std::function<at::Tensor(const StateDict&, size_t expert)>& given,
           StateDict& merged) {
  const c10::AutoGradMode with_gradients(true);
  std::map<std::string, at::Tensor> coefficients;
  std::vector<at::Tensor> learned;
  for (const std::string& name : names) {
    std::vector<int64_t> shape = models.base.at(name).sizes().vec();
    shape.insert(shape.begin(), 2);
    coefficients[name] = at::full(shape, .3, at::kDouble).requires_grad_(true);
    learned.push_back(coefficients[name]);
  }
  const auto combine = [&] {
    for (const std::string& name : names) {
      const at::Tensor base = models.base.at(name).to(at::kDouble);
      at::Tensor sum = base;
      for (int64_t i = 0; i < 2; ++i)
        sum = sum + coefficients.at(name)[i] *
                        (models.experts[static_cast<size_t>(i)].at(name).to(at::kDouble) - base);
      merged[name] = sum;
    }
  };
  torch::optim::Adam adam(learned, torch::optim::AdamOptions(rate));
  for (int64_t step = 0; step < steps; ++step) {
    combine();
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < 2; ++i)
      loss = loss + (given(merged, i) - given(doubled(models.experts[i]), i)).square().sum();
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  combine();
  for (const std::string& name : names) merged[name] = merged[name].detach();
}

/// One weight, which experts multiply 1 and 2 with.
at::Tensor one_weight(const Json& parameters, MergeReport* report = nullptr,
                      const std::string& name = "w") {
  FakeEvidence evidence;
  evidence.add_linear(name, 1);
  const auto network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{1, 1}, [](const StateDict&, size_t, int64_t, int64_t) -> at::Tensor {
        throw std::logic_error("no logits");
      });
  network->observed = [&](const StateDict&, size_t expert, int64_t, int64_t, const SeeLayer& see) {
    see(name, [&](LayerValue) { return at::full({1, 1}, expert == 0 ? 1.f : 2.f); });
  };
  evidence.of_network = network;
  MergeInputs inputs;
  inputs.evidence = &evidence;
  const auto model = [&](float value) {
    return source("model", {{name, at::full({1, 1}, value)}});
  };
  inputs.base = model(0);
  inputs.experts = {model(1), model(3)};
  return merge("prodistill", parameters, inputs, report).at(name);
}

}  // namespace

TEST_CASE("ProDistill without a step is task arithmetic", "[methods][unlabelled]") {
  const LayerByLayer models;
  CHECK(model_distance(merge("prodistill", {{"steps", 0}, {"init", .4}}, models.inputs),
                       merge("task_arithmetic", {{"scale", .4}}, models.inputs)) < 1e-6);
}

TEST_CASE("ProDistill comes to the least squares of a single weight", "[methods][unlabelled]") {
  MergeReport report;
  // (w - 1)^2 + (2 w - 6)^2 is least at 13 / 5, from 0.3 (1 + 3) = 1.2.
  CHECK(one_weight({{"steps", 2000}}, &report).item<double>() == Approx(2.6).margin(1e-3));
  CHECK(report.diagnostics.at("error_before").get<double>() == Approx((.04 + 12.96) / 37));
  CHECK(report.diagnostics.at("error_after").get<double>() ==
        Approx((2.56 + .64) / 37).margin(1e-4));
  // A head is left to the coefficients of the start, unless it is to be learned.
  CHECK(one_weight(Json::object(), nullptr, "head").item<double>() == Approx(1.2));
  CHECK(one_weight({{"steps", 2000}, {"heads", "fit"}}, nullptr, "head").item<double>() ==
        Approx(2.6).margin(1e-3));
}

TEST_CASE("ProDistill learns layer by layer, on what the merged layers before give",
          "[methods][unlabelled]") {
  const LayerByLayer models;
  constexpr int64_t kSteps = 40;
  constexpr double kRate = .02;
  StateDict expected;
  for (const auto& [name, tensor] : doubled(models.base))
    expected[name] = .4 * tensor + .3 * models.experts[0].at(name).to(at::kDouble) +
                     .3 * models.experts[1].at(name).to(at::kDouble);
  const auto pre_activation = [](const StateDict& weights, size_t expert) {
    return at::linear(LayerByLayer::normed(weights, expert), weights.at("w"), weights.at("b"));
  };
  const auto last = [&](const StateDict& weights, size_t expert) {
    return LayerByLayer::output(weights, pre_activation(weights, expert).relu());
  };
  learn(models, {"w", "b"}, kSteps, kRate, pre_activation, expected);
  learn(models, {"v"}, kSteps, kRate, last, expected);
  const Json parameters{{"steps", kSteps}, {"learning_rate", kRate}, {"batch", 8}};

  const StateDict merged = merge("prodistill", parameters, models.inputs);

  CHECK(model_distance(merged, expected) < 1e-5);
  CHECK(distance(merged.at("w"), merge("task_arithmetic", {{"scale", .3}}, models.inputs).at("w")) >
        .05);
}
