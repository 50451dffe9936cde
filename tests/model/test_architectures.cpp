#include <ATen/ATen.h>

#include "harness/core/cost.h"
#include "harness/model/predictor.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<Architecture> architecture(const char* config) {
  const Json json = Json::parse(config);
  return make_architecture(JsonReader(json, "config.json: $"));
}

/// logits() of small_cnn for one image, written as loops over the definition.
std::vector<double> cnn_by_loops(const StateDict& w, const at::Tensor& image, int channels,
                                 int hidden, int classes) {
  const auto conv_relu_pool = [&](const at::Tensor& x, const std::string& layer, int in, int out) {
    const int side = static_cast<int>(x.size(1));
    const auto xa = x.accessor<double, 3>();
    const at::Tensor k = w.at(layer + ".weight").to(at::kDouble);
    const at::Tensor b = w.at(layer + ".bias").to(at::kDouble);
    const auto ka = k.accessor<double, 4>();
    const auto ba = b.accessor<double, 1>();
    at::Tensor y = at::zeros({out, side / 2, side / 2}, at::kDouble);  // ReLU: no value is below 0
    auto ya = y.accessor<double, 3>();
    for (int o = 0; o < out; ++o)
      for (int r = 0; r < side; ++r)
        for (int c = 0; c < side; ++c) {
          double sum = ba[o];
          for (int i = 0; i < in; ++i)
            for (int dr = -1; dr <= 1; ++dr)
              for (int dc = -1; dc <= 1; ++dc) {
                const int rr = r + dr, cc = c + dc;
                if (rr >= 0 && rr < side && cc >= 0 && cc < side)
                  sum += ka[o][i][dr + 1][dc + 1] * xa[i][rr][cc];
              }
          ya[o][r / 2][c / 2] = std::max(ya[o][r / 2][c / 2], sum);
        }
    return y;
  };
  const auto linear = [&](const std::vector<double>& x, const std::string& layer, int out) {
    const at::Tensor k = w.at(layer + ".weight").to(at::kDouble);
    const at::Tensor b = w.at(layer + ".bias").to(at::kDouble);
    std::vector<double> y;
    for (int o = 0; o < out; ++o) {
      double sum = b[o].item<double>();
      for (size_t i = 0; i < x.size(); ++i)
        sum += k.accessor<double, 2>()[o][static_cast<int64_t>(i)] * x[i];
      y.push_back(sum);
    }
    return y;
  };
  const at::Tensor first = conv_relu_pool(image.to(at::kDouble), "conv1", 1, channels);
  const at::Tensor second = conv_relu_pool(first, "conv2", channels, 2 * channels).flatten();
  std::vector<double> flat(second.data_ptr<double>(), second.data_ptr<double>() + second.numel());
  std::vector<double> h = linear(flat, "hidden", hidden);
  for (double& value : h) value = std::max(value, 0.0);
  return linear(h, "head", classes);
}

}  // namespace

TEST_CASE("mlp computes head(relu(hidden(x)))", "[model]") {
  const auto mlp = architecture(R"({"model_type": "mlp", "inputs": 2, "hidden": 2, "classes": 2})");
  // hidden: [x0 - x1 + 1, -x0], so relu gives [3, 0] for (3, 1) and [0, 2] for (-2, 4).
  const StateDict weights = {
      {"hidden.weight", at::tensor({1.0f, -1.0f, -1.0f, 0.0f}).reshape({2, 2})},
      {"hidden.bias", at::tensor({1.0f, 0.0f})},
      {"head.weight", at::tensor({1.0f, 2.0f, 10.0f, -1.0f}).reshape({2, 2})},
      {"head.bias", at::tensor({0.5f, 0.0f})}};

  const at::Tensor logits =
      mlp->logits(weights, at::tensor({3.0f, 1.0f, -2.0f, 4.0f}).reshape({2, 2}));

  CHECK(at::equal(logits, at::tensor({3.5f, 30.0f, 4.5f, -2.0f}).reshape({2, 2})));
}

TEST_CASE("small_cnn agrees with explicit loops", "[model]") {
  const auto cnn =
      architecture(R"({"model_type": "small_cnn", "classes": 3, "channels": 2, "hidden": 5})");
  StateDict weights = cnn->initial_weights(1);
  for (auto& [name, tensor] : weights)  // biases that are not zero
    if (tensor.dim() == 1) tensor = at::arange(tensor.numel(), at::kFloat).mul(0.1).sub(0.15);
  const at::Tensor images =
      at::arange(2 * 28 * 28, at::kFloat).mul(0.37).sin().reshape({2, 1, 28, 28});

  const at::Tensor logits = cnn->logits(weights, images);

  REQUIRE(logits.sizes() == at::IntArrayRef({2, 3}));
  for (int64_t n = 0; n < 2; ++n) {
    const auto expected = cnn_by_loops(weights, images[n], 2, 5, 3);
    for (int64_t c = 0; c < 3; ++c)
      CHECK(logits[n][c].item<double>() == Approx(expected[static_cast<size_t>(c)]).epsilon(1e-4));
  }
}

TEST_CASE("initial weights depend on the seed alone and have the declared shapes", "[model]") {
  for (const std::string& name : architectures().names()) {
    Json config = Json::parse(architectures().at(name, "the registry").example);
    config["model_type"] = name;
    const auto network = make_architecture(JsonReader(config, "config.json: $"));
    const StateDict a = network->initial_weights(7);
    const StateDict b = network->initial_weights(7);
    const StateDict c = network->initial_weights(8);

    const std::vector<TensorInfo> infos = network->tensors();
    REQUIRE(a.size() == infos.size());
    bool any_difference = false;
    for (size_t i = 0; i < infos.size(); ++i) {
      if (i > 0) CHECK(infos[i - 1].name < infos[i].name);
      const at::Tensor& tensor = a.at(infos[i].name);
      CHECK(tensor.sizes() == at::IntArrayRef(infos[i].shape));
      CHECK(at::equal(tensor, b.at(infos[i].name)));
      any_difference |= !at::equal(tensor, c.at(infos[i].name));
    }
    CHECK(any_difference);
  }
}

TEST_CASE("kaiming_weights scales by fan-in and leaves vectors zero", "[model]") {
  const StateDict weights =
      kaiming_weights({{"b", at::kFloat, {5}}, {"w", at::kFloat, {100, 8, 5, 5}}}, 3);

  CHECK(weights.at("b").abs().sum().item<float>() == 0.0f);
  const at::Tensor& w = weights.at("w");  // 20000 draws: the deviation is known within about 1 %
  CHECK(w.std().item<double>() == Approx(std::sqrt(2.0 / 200.0)).epsilon(0.03));
  CHECK(std::abs(w.mean().item<double>()) < 0.003);
}

TEST_CASE("gradients reach every weight that requires them", "[model]") {
  const auto cnn = architecture(R"({"model_type": "small_cnn", "channels": 2, "hidden": 4})");
  StateDict weights = cnn->initial_weights(1);
  for (auto& [name, tensor] : weights) tensor.requires_grad_(true);

  cnn->logits(weights, at::ones({1, 1, 28, 28})).sum().backward();

  for (const auto& [name, tensor] : weights) {
    INFO(name);
    REQUIRE(tensor.grad().defined());
  }
  CHECK(at::equal(weights.at("head.bias").grad(), at::ones({10})));
}

TEST_CASE("an architecture refuses unknown fields and wrong shapes", "[model]") {
  CHECK_THROWS_WITH(architecture(R"({"model_type": "smal_cnn"})"),
                    Contains("smal_cnn") && Contains("Did you mean 'small_cnn'?"));
  CHECK_THROWS_WITH(architecture(R"({"classes": 3})"), Contains("'model_type' is missing"));
  CHECK_THROWS_WITH(architecture(R"({"model_type": "small_cnn", "clases": 3})"),
                    Contains("clases") && Contains("'classes'"));
  CHECK_THROWS_WITH(architecture(R"({"model_type": "small_cnn", "classes": 0})"),
                    Contains("'classes' must lie in [1, 100000]"));
  const auto cnn = architecture(R"({"model_type": "small_cnn"})");
  CHECK_THROWS_WITH(cnn->logits(cnn->initial_weights(1), at::zeros({2, 1, 27, 28})),
                    "small_cnn takes inputs of shape [n, 1, 28, 28], found [2, 1, 27, 28]");
}

TEST_CASE("config() makes the same architecture again", "[model]") {
  const auto cnn = architecture(R"({"model_type": "small_cnn", "classes": 3})");
  const Json config = cnn->config();

  CHECK(config ==
        Json::parse(R"({"model_type": "small_cnn", "classes": 3, "channels": 16, "hidden": 64})"));
  CHECK(make_architecture(JsonReader(config, "config.json: $"))->config() == config);
}

TEST_CASE("load_weights names the tensor that does not fit", "[model]") {
  const auto mlp = architecture(R"({"model_type": "mlp", "inputs": 2, "hidden": 2, "classes": 2})");
  const StateDict good = mlp->initial_weights(1);
  const auto load = [&](const StateDict& tensors) {
    return load_weights(*mlp, MemorySource("candidate", tensors), at::kCPU);
  };

  CHECK(at::equal(load(good).at("head.weight"), good.at("head.weight")));
  StateDict missing = good;
  missing.erase("head.bias");
  CHECK_THROWS_AS(load(missing), DataError);
  CHECK_THROWS_WITH(load(missing), Contains("candidate: no tensor 'head.bias'"));
  StateDict extra = good;
  extra["head.scale"] = at::ones({2});
  CHECK_THROWS_WITH(load(extra), "candidate: mlp has no tensor 'head.scale'");
  StateDict misshapen = good;
  misshapen["hidden.bias"] = at::ones({3});
  CHECK_THROWS_WITH(load(misshapen),
                    "candidate: tensor 'hidden.bias' has shape [3], but mlp needs [2]");
}

TEST_CASE("a model predictor counts examples and gives float32", "[model]") {
  const std::shared_ptr<const Architecture> mlp =
      architecture(R"({"model_type": "mlp", "inputs": 2, "hidden": 2, "classes": 2})");
  StateDict weights = mlp->initial_weights(1);
  for (auto& [name, tensor] : weights) tensor = tensor.to(at::kBFloat16).requires_grad_(true);
  const ModelPredictor predictor(mlp, weights, at::kCPU);
  const int64_t before = counters::examples;

  const at::Tensor logits = predictor.logits(at::ones({3, 2}));

  CHECK(counters::examples - before == 3);
  CHECK(logits.scalar_type() == at::kFloat);
  CHECK_FALSE(logits.requires_grad());
}

TEST_CASE("an ensemble averages the logits of its members", "[model]") {
  const std::shared_ptr<const Architecture> mlp =
      architecture(R"({"model_type": "mlp", "inputs": 1, "hidden": 1, "classes": 2})");
  const auto member = [&](float bias0, float bias1) {
    StateDict weights = mlp->initial_weights(1);
    for (auto& [name, tensor] : weights) tensor = at::zeros_like(tensor);
    weights["head.bias"] = at::tensor({bias0, bias1});
    return std::make_shared<ModelPredictor>(mlp, weights, at::kCPU);
  };
  const EnsemblePredictor ensemble({member(1, 4), member(2, 5), member(6, 0)});
  const int64_t before = counters::examples;

  const at::Tensor logits = ensemble.logits(at::ones({1, 1}));

  CHECK(at::equal(logits, at::tensor({3.0f, 3.0f}).reshape({1, 2})));
  CHECK(counters::examples - before == 3);
}
