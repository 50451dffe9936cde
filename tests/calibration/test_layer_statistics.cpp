// Moments of layers' inputs, and what K-FAC and the Fisher information of vectors need.
#include "harness/calibration/statistic.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// A perceptron of 5 inputs, 7 hidden values and 3 classes, with 40 examples.
struct Perceptron {
  std::shared_ptr<const Architecture> architecture = toy_mlp(5, 7, 3);
  CalibrationData data{
      {architecture, nullptr},
      {toy_task("toy/a", noise({40, 5}, 1), at::arange(40, at::kLong).remainder(3))},
      {}};
  StateDict weights = doubled(architecture->initial_weights(3));
  at::Tensor x = data.batch(0, 40).inputs.to(at::kDouble);
  at::Tensor hidden = (x.mm(weights.at("hidden.weight").t()) + weights.at("hidden.bias")).relu();
  /// The gradients of the true class's log-probability with respect to the scores.
  at::Tensor score_gradients() const {
    const at::Tensor scores = hidden.mm(weights.at("head.weight").t()) + weights.at("head.bias");
    return at::one_hot(data.targets(0, 40), 3) - scores.softmax(1);
  }
  at::Tensor hidden_gradients() const {
    return score_gradients().mm(weights.at("head.weight")) * (hidden > 0);
  }
};

const Json kExact{{"compute", "float64"}};

}  // namespace

TEST_CASE("activation moments are those of the layers' inputs", "[calibration]") {
  const Perceptron mlp;
  const auto moments = [](const at::Tensor& x) {
    return at::stack({x.mean(0), x.square().mean(0), x.abs().mean(0), x.abs().amax(0)});
  };
  for (const int64_t batch_tokens : {1, 64 * 3, 100'000}) {
    const StatisticTensors found = computed("activation_moments", kExact, *mlp.architecture,
                                            mlp.weights, mlp.data, batch_tokens);
    REQUIRE(found.tensors.size() == 2);
    CHECK(distance(found.tensors.at("hidden.weight"), moments(mlp.x)) < 1e-12);
    CHECK(distance(found.tensors.at("head.weight"), moments(mlp.hidden)) < 1e-12);
    CHECK(found.rows.at("head.weight") == 40);
    CHECK(found.layers.size() == 2);
  }
}

TEST_CASE("blocks of Gram matrices are those of the whole matrices", "[calibration]") {
  const Perceptron mlp;
  const at::Tensor whole = mlp.hidden.t().mm(mlp.hidden) / 40;  // [7, 7]
  for (const int64_t batch_tokens : {1, 64 * 3, 100'000}) {
    const auto blocks = [&](int64_t block) {
      const StatisticTensors found =
          computed("block_gram", {{"block", block}, {"compute", "float64"}}, *mlp.architecture,
                   mlp.weights, mlp.data, batch_tokens);
      CHECK(found.rows.at("head.weight") == 40);
      return found.tensors.at("head.weight");
    };
    CHECK(distance(blocks(1).flatten(), whole.diagonal()) < 1e-12);
    CHECK(distance(blocks(7)[0], whole) < 1e-12);
    const at::Tensor threes = blocks(3);
    REQUIRE(threes.sizes() == at::IntArrayRef{3, 3, 3});
    CHECK(distance(threes[1], whole.narrow(0, 3, 3).narrow(1, 3, 3)) < 1e-12);
    CHECK(distance(threes[2], at::diag(at::tensor({1., 0., 0.}, at::kDouble)) * whole[6][6]) <
          1e-12);
  }
}

TEST_CASE("Gram matrices of output gradients are those of the backward pass", "[calibration]") {
  const Perceptron mlp;
  const Json exact{{"compute", "float64"}, {"storage", "float64"}};
  const StatisticTensors found =
      computed("output_gradient_gram", exact, *mlp.architecture, mlp.weights, mlp.data);
  const auto gram = [](const at::Tensor& g) { return g.t().mm(g) / g.size(0); };
  REQUIRE(found.tensors.size() == 2);
  CHECK(distance(found.tensors.at("head.weight"), gram(mlp.score_gradients())) < 1e-12);
  CHECK(distance(found.tensors.at("hidden.weight"), gram(mlp.hidden_gradients())) < 1e-12);

  const StatisticTensors small =
      computed("output_gradient_gram", {{"largest", 3}}, *mlp.architecture,
               mlp.architecture->initial_weights(3), mlp.data);
  REQUIRE(small.tensors.size() == 1);
  CHECK(small.tensors.at("head.weight").scalar_type() == at::kFloat);
}

TEST_CASE("a convolution has an output gradient at every position", "[calibration]") {
  const Json config{{"model_type", "small_cnn"}, {"channels", 2}, {"hidden", 4}, {"classes", 3}};
  const std::shared_ptr<const Architecture> cnn = make_architecture(JsonReader(config, "a test"));
  const auto task = toy_task("toy/a", noise({2, 1, 28, 28}, 2), at::tensor({0, 2}, at::kLong));
  const CalibrationData data({cnn, nullptr}, {task}, {});
  const StateDict weights = doubled(cnn->initial_weights(1));
  const auto w = [&](const char* name) { return weights.at(name); };

  at::Tensor y =
      at::conv2d(data.batch(0, 2).inputs.to(at::kDouble), w("conv1.weight"), w("conv1.bias"), 1, 1)
          .requires_grad_(true);
  const at::Tensor second =
      at::conv2d(at::max_pool2d(y.relu(), 2), w("conv2.weight"), w("conv2.bias"), 1, 1);
  const at::Tensor flat = at::max_pool2d(second.relu(), 2).flatten(1);
  const at::Tensor hidden = at::linear(flat, w("hidden.weight"), w("hidden.bias")).relu();
  at::linear(hidden, w("head.weight"), w("head.bias"))
      .log_softmax(1)
      .gather(1, data.targets(0, 2).unsqueeze(1))
      .sum()
      .backward();
  const at::Tensor g = y.grad().permute({0, 2, 3, 1}).reshape({-1, 2});

  const StatisticTensors found =
      computed("output_gradient_gram", {{"compute", "float64"}, {"storage", "float64"}}, *cnn,
               weights, data);
  CHECK(found.rows.at("conv1.weight") == 2 * 28 * 28);
  CHECK(distance(found.tensors.at("conv1.weight"), g.t().mm(g) / g.size(0)) < 1e-14);
}

TEST_CASE("the Fisher information of vectors has their correlations", "[calibration]") {
  const Perceptron mlp;
  const StateDict found =
      computed("vector_fisher", kExact, *mlp.architecture, mlp.weights, mlp.data).tensors;
  REQUIRE(found.size() == 2);
  const at::Tensor g = mlp.score_gradients(), h = mlp.hidden_gradients();
  CHECK(distance(found.at("head.bias"), g.t().mm(g) / 40) < 1e-7);
  CHECK(distance(found.at("hidden.bias"), h.t().mm(h) / 40) < 1e-7);

  const Json few{{"largest", 3}};
  CHECK(computed("vector_fisher", few, *mlp.architecture, mlp.architecture->initial_weights(3),
                 mlp.data)
            .tensors.size() == 1);
}

TEST_CASE("the statistics of layers have the same bytes on any number of threads",
          "[calibration]") {
  const Perceptron mlp;
  const StateDict weights = mlp.architecture->initial_weights(4);
  for (const auto* name :
       {"activation_moments", "block_gram", "output_gradient_gram", "vector_fisher"}) {
    StateDict first;
    for (const int threads : {1, 2, 4}) {
      const Threads used(threads);
      const StateDict found =
          computed(name, Json::object(), *mlp.architecture, weights, mlp.data, 64 * 3).tensors;
      if (threads == 1) first = found;
      for (const auto& [tensor, values] : found) CHECK(at::equal(values, first.at(tensor)));
    }
  }
}
