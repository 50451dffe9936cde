#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/attention.h"
#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/layers.h"
#include "harness/model/internal/rotary.h"
#include "harness/model/language.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

at::Tensor matrix(const std::vector<float>& values, int64_t rows) {
  return at::tensor(values).reshape({rows, -1});
}

RotaryConfig rotary_from(const char* text, int64_t head_size, RotaryDefaults defaults = {}) {
  const Json json = Json::parse(text);
  ConfigFields config(JsonReader(json, "config.json: $"));
  return read_rotary(config, head_size, 64, defaults);
}

/// The angle by which the first pair of a head is rotated at a position of a text of that length.
double first_angle(const RotaryConfig& config, int64_t position, int64_t length) {
  const RotaryTable table = Rotary(config).table(at::full({1, 1}, position, at::kLong),
                                                 at::full({1}, length, at::kLong), at::kFloat);
  return std::atan2(table.sines[0][0][0][0].item<double>(),
                    table.cosines[0][0][0][0].item<double>());
}

}  // namespace

TEST_CASE("linear layers read both layouts and their bias when there is one", "[model][layers]") {
  const StateDict weights = {{"a.weight", matrix({1, 2, 3, 4, 5, 6}, 2)},
                             {"a.bias", at::tensor({10.0f, 20.0f})},
                             {"b.weight", matrix({1, 2, 3, 4, 5, 6}, 3)}};

  CHECK(at::equal(linear(weights, "a", at::tensor({1.0f, 0.0f, 1.0f})), at::tensor({14.f, 30.f})));
  CHECK(at::equal(linear(weights, "b", at::tensor({1.0f, 0.0f, 1.0f}), LinearLayout::kInOut),
                  at::tensor({6.0f, 8.0f})));
}

TEST_CASE("norms divide by the root of the mean square, or also centre", "[model][layers]") {
  const StateDict weights = {{"n.weight", at::tensor({1.0f, 2.0f})},
                             {"n.bias", at::tensor({0.0f, 1.0f})}};
  const at::Tensor x = at::tensor({1.0f, 7.0f});  // mean square 25, mean 4, deviation 3

  CHECK(at::allclose(normalize(weights, "n", x, NormKind::kRms, 0), at::tensor({0.2f, 2.8f})));
  CHECK(
      at::allclose(normalize(weights, "n", x, NormKind::kRmsPlusOne, 0), at::tensor({0.4f, 4.2f})));
  CHECK(at::allclose(normalize(weights, "n", x, NormKind::kLayer, 0), at::tensor({-1.0f, 3.0f})));
}

TEST_CASE("an unknown activation names the known ones", "[model][layers]") {
  CHECK(activation("relu", "here")(at::tensor({-1.0f, 2.0f})).equal(at::tensor({0.0f, 2.0f})));
  CHECK_THROWS_WITH(activation("sillu", "config.json: $.hidden_act"),
                    Contains("config.json: $.hidden_act") && Contains("Did you mean 'silu'?"));
}

TEST_CASE("rotary embeddings rotate pairs by position times frequency", "[model][rotary]") {
  // A head of 4: frequencies 1 and 1/100; the pairs are (0, 2) and (1, 3).
  const Rotary rotary(rotary_from(R"({"rope_theta": 10000})", 4));
  const at::Tensor x = at::tensor({1.0f, 1.0f, 0.0f, 0.0f}).view({1, 1, 1, 4});

  const at::Tensor rotated =
      Rotary::rotate(x, rotary.table(at::full({1, 1}, 3, at::kLong), {}, at::kFloat)).flatten();

  CHECK(rotated[0].item<double>() == Approx(std::cos(3.0)));
  CHECK(rotated[2].item<double>() == Approx(std::sin(3.0)));
  CHECK(rotated[1].item<double>() == Approx(std::cos(0.03)));
  CHECK(rotated[3].item<double>() == Approx(std::sin(0.03)));
}

TEST_CASE("partial rotary embeddings leave the rest of a head unchanged", "[model][rotary]") {
  const Rotary rotary(rotary_from(R"({"partial_rotary_factor": 0.5})", 4, {.partial = 1.0}));
  const at::Tensor x = at::tensor({1.0f, 0.0f, 5.0f, 6.0f}).view({1, 1, 1, 4});

  const at::Tensor rotated =
      Rotary::rotate(x, rotary.table(at::full({1, 1}, 2, at::kLong), {}, at::kFloat)).flatten();

  CHECK(rotated[1].item<double>() == Approx(std::sin(2.0)));
  CHECK(rotated[2].item<float>() == 5.0f);
  CHECK(rotated[3].item<float>() == 6.0f);
}

TEST_CASE("scaled rotary embeddings slow the angles as their papers say", "[model][rotary]") {
  const RotaryConfig linear =
      rotary_from(R"({"rope_scaling": {"type": "linear", "factor": 4}})", 4);
  CHECK(first_angle(linear, 2, 3) == Approx(0.5));

  // The highest frequency, 1, has wavelength 6.28 < 16 / 4: no, above 4 and below 16, so between.
  const RotaryConfig llama3 = rotary_from(R"({"rope_parameters": {"rope_type": "llama3",
      "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
      "original_max_position_embeddings": 16}})",
                                          4);
  const double share = (16 / (2 * M_PI) - 1) / 3;
  CHECK(first_angle(llama3, 1, 2) == Approx((1 - share) / 8 + share));

  const RotaryConfig longrope = rotary_from(R"({"rope_scaling": {"type": "longrope",
      "short_factor": [1, 1], "long_factor": [2, 1]}, "original_max_position_embeddings": 8})",
                                            4);
  CHECK(first_angle(longrope, 1, 8) == Approx(1.0));
  CHECK(first_angle(longrope, 1, 9) == Approx(0.5));
  CHECK(longrope.attention_factor == Approx(std::sqrt(1 + std::log(8.0) / std::log(8.0))));

  const RotaryConfig yarn = rotary_from(
      R"({"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 16}})",
      4);
  CHECK(yarn.attention_factor == Approx(0.1 * std::log(4.0) + 1));
}

TEST_CASE("the base of dynamic scaling grows with each row's own text", "[model][rotary]") {
  const RotaryConfig config =
      rotary_from(R"({"rope_scaling": {"rope_type": "dynamic", "factor": 2}})", 4);
  const Rotary rotary(config);
  CHECK(rotary.depends_on_length());
  CHECK(rotary.same_angles(10, 64));
  CHECK_FALSE(rotary.same_angles(64, 65));
  const auto second_angle = [&](const std::vector<int64_t>& lengths) {
    const auto rows = static_cast<int64_t>(lengths.size());
    const RotaryTable table =
        rotary.table(at::ones({rows, 1}, at::kLong), at::tensor(lengths), at::kFloat);
    return at::atan2(table.sines, table.cosines).select(3, 1).flatten();
  };

  const at::Tensor angles = second_angle({10, 64, 128});

  CHECK(angles[0].item<double>() == Approx(0.01));
  CHECK(angles[1].item<double>() == Approx(0.01));
  // theta times (2 * 128 / 64 - 1)^(4 / 2) = 9
  CHECK(angles[2].item<double>() == Approx(std::pow(90000.0, -0.5)));
}

TEST_CASE("rotary settings that a type of scaling does not use are ignored", "[model][rotary]") {
  const RotaryConfig yarn = rotary_from(
      R"({"rope_scaling": {"type": "yarn", "factor": 4, "attn_factor": 0.5, "mrope": []}})", 4);
  CHECK(yarn.factor == 4);
  CHECK(yarn.attention_factor == Approx(0.1 * std::log(4.0) + 1));
}

TEST_CASE("rotary settings that are not known are refused", "[model][rotary]") {
  CHECK_THROWS_WITH(rotary_from(R"({"rope_scaling": {"type": "yarm"}})", 4),
                    Contains("rope_scaling") && Contains("'yarn'"));
  CHECK_THROWS_WITH(rotary_from(R"({"rope_scaling": {"type": "linear"}})", 4),
                    Contains("'factor' is missing"));
  CHECK_THROWS_WITH(rotary_from(R"({"partial_rotary_factor": 0.5})", 4), Contains("must be 1"));
  CHECK_THROWS_WITH(rotary_from(R"({"rope_scaling": {"type": "longrope", "short_factor": [1],
      "long_factor": [1, 1]}})",
                                4),
                    Contains("short_factor") && Contains("expected 2 factors"));
}

TEST_CASE("a mask combines the caller's mask, causality and the window by position", "[model]") {
  const auto positions = [](const std::vector<int64_t>& values) {
    return at::tensor(values).unsqueeze(0);
  };
  const auto rows = [](const AttentionMask& mask) {
    return mask.allowed.squeeze(0).squeeze(0).to(at::kInt);
  };

  CHECK(causal_mask({positions({0, 1}), positions({0, 1}), {}}, 0).causal);
  CHECK_FALSE(causal_mask({positions({2}), positions({0, 1, 2}), {}}, 0).allowed.defined());
  CHECK(at::equal(rows(causal_mask({positions({1, 2}), positions({0, 1, 2}), {}}, 0)),
                  at::tensor({1, 1, 0, 1, 1, 1}).view({2, 3})));
  CHECK(at::equal(rows(causal_mask({positions({0, 1, 2}), positions({0, 1, 2}), {}}, 2)),
                  at::tensor({1, 0, 0, 1, 1, 0, 0, 1, 1}).view({3, 3})));
  // Left padding: only padding attends to itself.
  const at::Tensor real = at::tensor({0, 1, 1}).to(at::kBool).view({1, 1, 3}).expand({1, 3, 3});
  CHECK(at::equal(rows(causal_mask({positions({0, 0, 1}), positions({0, 0, 1}), real}, 0)),
                  at::tensor({1, 0, 0, 0, 1, 0, 0, 1, 1}).view({3, 3})));
}

TEST_CASE("attention weighs values by the softmax of scaled products", "[model]") {
  // One kv head serves two heads. Products of the second token with the keys: 1 and 0, then 0
  // and 2.
  const at::Tensor queries = matrix({9, 9, 1, 0, 9, 9, 0, 2}, 4).view({1, 2, 2, 2});
  const at::Tensor keys = matrix({1, 0, 0, 1}, 2).view({1, 1, 2, 2});
  const at::Tensor values = matrix({1, 2, 3, 4}, 2).view({1, 1, 2, 2});
  const double a = 1 / (1 + std::exp(-0.5)), b = 1 / (1 + std::exp(1.0));

  const at::Tensor out = attend(queries, keys, values, {{}, true}, {0.5, 0});

  CHECK(out.sizes() == at::IntArrayRef({1, 2, 4}));
  CHECK(at::allclose(out[0][0], at::tensor({1.0f, 2.0f, 1.0f, 2.0f})));
  CHECK(out[0][1][0].item<double>() == Approx(a * 1 + (1 - a) * 3));
  CHECK(out[0][1][2].item<double>() == Approx(b * 1 + (1 - b) * 3));
}

TEST_CASE("soft-capped attention caps the products before the softmax", "[model]") {
  const at::Tensor queries = matrix({9, 1, 9, 0}, 2).view({1, 2, 2, 1});
  const at::Tensor keys = matrix({4, 0}, 2).view({1, 1, 2, 1});
  const at::Tensor values = matrix({1, 0}, 2).view({1, 1, 2, 1});
  const double capped = 2 * std::tanh(4.0 / 2);

  const at::Tensor out = attend(queries, keys, values, {{}, true}, {1, 2});

  CHECK(out[0][0][0].item<double>() == Approx(1.0));
  CHECK(out[0][1][0].item<double>() == Approx(1 / (1 + std::exp(-capped))));
  CHECK(out[0][1][1].item<double>() == Approx(0.5));
}

TEST_CASE("a KV cache can be indexed by row and truncated", "[model]") {
  KvCache cache;
  CHECK(cache.tokens() == 0);
  cache.positions = at::tensor({0, 1, 2, 5, 6, 7}, at::kLong).view({2, 3});
  cache.layers.push_back({at::arange(6, at::kFloat).view({2, 1, 3, 1}), at::zeros({2, 1, 3, 1})});

  KvCache chosen = cache.select(at::tensor({1, 1, 0}, at::kLong));
  chosen.truncate(2);

  CHECK(chosen.rows() == 3);
  CHECK(chosen.tokens() == 2);
  CHECK(at::equal(chosen.positions, at::tensor({5, 6, 5, 6, 0, 1}, at::kLong).view({3, 2})));
  CHECK(
      at::equal(chosen.layers[0].keys.flatten(), at::tensor({3.0f, 4.0f, 3.0f, 4.0f, 0.0f, 1.0f})));
  CHECK(cache.tokens() == 3);
  chosen.truncate(0);
  CHECK(chosen.tokens() == 0);
}
