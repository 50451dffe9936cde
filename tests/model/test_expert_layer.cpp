#include "harness/model/internal/expert_layer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/model/layers_of.h"
#include "harness/model/route_override.h"
#include "tests/cost/flops_of.h"
#include "tests/model/observed.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<FeedForward> layer_of_experts(const ExpertLayerShape& shape, int64_t inner,
                                              const std::string& activation_name) {
  const FeedForwardShape expert{shape.width, inner, false, activation(activation_name, "test")};
  std::vector<std::unique_ptr<FeedForward>> experts;
  for (int64_t i = 0; i < shape.experts; ++i) {
    const std::string name = fmt::format("{}.", i);
    experts.push_back(gated_feed_forward(expert, name + "gate", name + "up", name + "down"));
  }
  return expert_layer(shape, "router", std::move(experts));
}

StateDict random_experts(const FeedForward& of, uint64_t seed) {
  return normal_weights(of.tensors(), 0.5, 1, seed);
}

/// Three experts of one unit: expert i gives (i + 1) x^2 of a positive x.
StateDict squares() {
  StateDict weights;
  for (int64_t i = 0; i < 3; ++i) {
    weights[fmt::format("{}.gate.weight", i)] = at::ones({1, 1});
    weights[fmt::format("{}.up.weight", i)] = at::ones({1, 1});
    weights[fmt::format("{}.down.weight", i)] = at::full({1, 1}, static_cast<double>(i + 1));
  }
  return weights;
}

double output(bool normalized, const std::vector<double>& logits) {
  StateDict weights = squares();
  weights["router.weight"] = at::tensor(logits, at::kFloat).view({3, 1});
  const auto made = layer_of_experts({1, 3, 2, normalized}, 1, "relu");
  return made->forward(weights, at::ones({1, 1, 1})).item<double>();
}

/// The same as the definition says, token by token.
at::Tensor by_token(const ExpertLayerShape& shape, const StateDict& weights, const at::Tensor& x) {
  at::Tensor y = at::zeros_like(x);
  for (int64_t t = 0; t < x.size(0); ++t) {
    const at::Tensor p = at::softmax(at::mv(weights.at("router.weight"), x[t]), 0);
    const auto [values, experts] = at::topk(p, shape.per_token);
    const double sum = shape.normalized ? values.sum().item<double>() : 1;
    for (int64_t k = 0; k < shape.per_token; ++k) {
      const std::string name = fmt::format("{}.", experts[k].item<int64_t>());
      const auto times = [&](const char* part, const at::Tensor& v) {
        return at::mv(weights.at(name + part + ".weight"), v);
      };
      y[t] += values[k] / sum * times("down", at::silu(times("gate", x[t])) * times("up", x[t]));
    }
  }
  return y;
}

}  // namespace

TEST_CASE("experts are weighted by the softmax over the largest logits", "[model][experts]") {
  // Of the logits 0, ln 3 and -5 the first two are taken: 1/4 of 1 and 3/4 of 2.
  CHECK(output(true, {0, std::log(3.0), -5}) == Approx(1.75));
  CHECK(output(false, {0, std::log(3.0), std::log(6.0)}) == Approx(0.3 * 2 + 0.6 * 3));
}

TEST_CASE("of equal logits the first experts' count as larger", "[model][experts]") {
  CHECK(output(true, {0, 0, 0}) == Approx(1.5));
  CHECK(output(true, {-1, 0, -1}) == Approx((2 * std::exp(1.0) + 1) / (std::exp(1.0) + 1)));
}

TEST_CASE("others may decide where tokens are sent, for as long as they live", "[model][experts]") {
  const std::vector<double> logits{0, std::log(3.0), -5};
  const auto to_all = [](const TokensToRoute& tokens) {
    CHECK(tokens.router == "router.weight");
    CHECK_FALSE(tokens.counted.defined());
    return ExpertChoice{at::arange(3).view({1, 3}), at::tensor({.2f, .3f, .5f}).view({1, 3})};
  };
  const auto without_second = [](const TokensToRoute& tokens) {
    const at::Tensor second = at::one_hot(at::tensor({1}, at::kLong), 3).to(at::kBool);
    return tokens.own(tokens.logits.masked_fill(second, -INFINITY));
  };
  {
    const RouteOverride outer(to_all);
    CHECK(output(true, logits) == Approx(.2 + .3 * 2 + .5 * 3));
    {
      const RouteOverride inner(without_second);
      // A softmax over 0 and -5.
      const double first = 1 / (1 + std::exp(-5.0));
      CHECK(output(true, logits) == Approx(first + (1 - first) * 3));
    }
    CHECK(output(true, logits) == Approx(2.3));
  }
  CHECK(output(true, logits) == Approx(1.75));
}

TEST_CASE("an expert layer gives what its definition gives token by token", "[model][experts]") {
  for (const bool normalized : {true, false})
    for (const int64_t per_token : {1, 3, 5}) {
      CAPTURE(normalized, per_token);
      const ExpertLayerShape shape{6, 5, per_token, normalized};
      const auto made = layer_of_experts(shape, 7, "silu");
      const StateDict weights = random_experts(*made, 3);
      const at::Tensor x = normal_weights({{"x", at::kFloat, {4, 9, 6}}}, 1, 1, 5).at("x");

      const at::Tensor wanted = by_token(shape, weights, x.flatten(0, 1)).view(x.sizes());
      CHECK(at::allclose(made->forward(weights, x), wanted, 1e-5, 1e-6));
    }
}

TEST_CASE("equal experts are one feed-forward, whatever the router says", "[model][experts]") {
  const ExpertLayerShape shape{6, 4, 2, true};
  const auto made = layer_of_experts(shape, 7, "silu");
  StateDict weights = random_experts(*made, 3);
  for (const char* part : {"gate", "up", "down"})
    for (int64_t i = 1; i < shape.experts; ++i)
      weights[fmt::format("{}.{}.weight", i, part)] = weights.at(fmt::format("0.{}.weight", part));
  const at::Tensor x = normal_weights({{"x", at::kFloat, {2, 5, 6}}}, 1, 1, 5).at("x");

  const auto dense =
      gated_feed_forward({6, 7, false, activation("silu", "test")}, "0.gate", "0.up", "0.down");
  CHECK(at::allclose(made->forward(weights, x), dense->forward(weights, x), 1e-5, 1e-6));
}

TEST_CASE("an expert layer keeps the dtype", "[model][experts]") {
  const auto made = layer_of_experts({6, 4, 2, true}, 7, "silu");
  StateDict weights = random_experts(*made, 3);
  for (auto& [unused, tensor] : weights) tensor = tensor.to(at::kBFloat16);
  CHECK(made->forward(weights, at::ones({1, 2, 6}, at::kBFloat16)).scalar_type() == at::kBFloat16);
}

TEST_CASE("observers see each expert's own tokens", "[model][experts]") {
  const ExpertLayerShape shape{6, 4, 2, true};
  const auto made = layer_of_experts(shape, 7, "silu");
  const StateDict weights = random_experts(*made, 3);
  const at::Tensor x = normal_weights({{"x", at::kFloat, {2, 5, 6}}}, 1, 1, 5).at("x");
  GramObserver observer;
  made->forward(weights, x);

  int64_t rows = 0;
  at::Tensor sum = at::zeros({6, 6}, at::kDouble);
  for (int64_t i = 0; i < shape.experts; ++i) {
    const auto gram = observer.grams.find(fmt::format("{}.up.weight", i));
    if (gram == observer.grams.end()) continue;  // no token was sent to it
    CHECK(observer.grams.at(fmt::format("{}.gate.weight", i)).rows == gram->second.rows);
    rows += gram->second.rows;
    sum += gram->second.sum;
  }
  // Every token is sent to two experts.
  CHECK(rows == 20);
  CHECK(at::allclose(sum, 2 * observer.grams.at("router.weight").sum));
}

TEST_CASE("every expert is a layer with an input of its own", "[model][experts]") {
  const std::vector<LayerInfo> layers = layers_of(*example_architecture("mixtral"));
  const std::string experts = "model.layers.1.block_sparse_moe.experts.";
  size_t found = 0;
  for (const LayerInfo& info : layers) {
    if (!info.weight.starts_with(experts)) continue;
    ++found;
    const std::string expert = info.weight.substr(0, experts.size() + 1);
    const bool down = info.weight.ends_with("w2.weight");
    CHECK(info.input == expert + (down ? ".w2.weight" : ".w1.weight"));
    CHECK(info.inputs == (down ? 12 : 8));
    CHECK(info.block == 1);
  }
  CHECK(found == 9);
}

TEST_CASE("the operations of an expert layer are those of the tokens' experts",
          "[model][experts]") {
  const auto made = layer_of_experts({6, 4, 2, true}, 7, "silu");
  const StateDict weights = random_experts(*made, 3);
  const at::Tensor x = at::ones({1, 10, 6});
  const double products = 2.0 * 10 * (6 * 4 + 2 * 3 * 6 * 7);
  // Besides products: the softmax, activations, and weighing.
  const double flops = static_cast<double>(flops_of([&] { made->forward(weights, x); }));
  CHECK(flops >= products);
  CHECK(flops <= 1.3 * products);
}

TEST_CASE("a config with more experts per token than experts is refused", "[model][experts]") {
  Json config = example_config("mixtral");
  config["num_experts_per_tok"] = 4;
  CHECK_THROWS_WITH(language(config), Contains("4 'num_experts_per_tok' are more than 3"));
  config = example_config("qwen2_moe");
  config["num_experts_per_tok"] = 4;
  CHECK_THROWS_WITH(language(config), Contains("4 'num_experts_per_tok' are more than 3"));
}

TEST_CASE("an expert takes the first tokens of a row, up to its capacity", "[model][moe]") {
  // One expert of which a token x gives x^2, and a router that sends it everything.
  StateDict weights = squares();
  weights["router.weight"] = at::tensor({1., 0., -1.}, at::kFloat).view({3, 1});
  ExpertLayerShape shape{1, 3, 1, true};
  shape.capacity = 2;
  const auto made = layer_of_experts(shape, 1, "relu");
  const at::Tensor x = at::tensor({1, 2, 3, 4, 5, 6}, at::kFloat).view({2, 3, 1});
  CHECK(
      at::equal(made->forward(weights, x).flatten(), at::tensor({1, 4, 0, 16, 25, 0}, at::kFloat)));

  // Padding takes no place.
  const CountedTokens counted(at::tensor({0, 1, 1, 1, 0, 1}).to(at::kBool).view({2, 3}));
  const at::Tensor padded = made->forward(weights, x).flatten();
  for (const int64_t i : {1, 2, 3, 5})
    CHECK(padded[i].item<double>() == static_cast<double>((i + 1) * (i + 1)));
}

TEST_CASE("a shared expert without a gate counts in full", "[model][moe]") {
  StateDict weights = squares();
  weights["router.weight"] = at::zeros({3, 1});
  const FeedForwardShape shape{1, 1, false, activation("relu", "test")};
  weights["shared.gate.weight"] = weights["shared.up.weight"] = at::ones({1, 1});
  weights["shared.down.weight"] = at::full({1, 1}, 10.);
  const auto both =
      with_shared_expert(layer_of_experts({1, 3, 1, true}, 1, "relu"),
                         gated_feed_forward(shape, "shared.gate", "shared.up", "shared.down"));
  CHECK(both->forward(weights, at::full({1, 1, 1}, 2.)).item<double>() == 4 + 40);
  CHECK(both->tensors().size() == 13);
}
