// BitDelta: signs and a scale for each matrix of a task model.
#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

StateDict bit_delta_model(const Json& parameters, MergeInputs inputs, size_t expert) {
  inputs.task_expert = expert;
  return merge("bit_delta", parameters, inputs);
}

/// A matrix, a vector, and embeddings, of a base of zeros and two experts.
MergeInputs three_models() {
  const auto model = [](float value) {
    return StateDict{{"w", value * at::tensor({1.0f, -3.0f, 2.0f, 0.0f}).reshape({2, 2})},
                     {"b", at::full({3}, value)},
                     {"embed.weight", at::full({2, 2}, value)}};
  };
  MergeInputs inputs;
  inputs.base = source("base", model(0));
  inputs.experts = {source("one", model(1)), source("two", model(-2))};
  return inputs;
}

}  // namespace

TEST_CASE("BitDelta keeps signs and the mean magnitude of each expert", "[methods]") {
  const MergeInputs inputs = three_models();
  // Mean magnitudes 6/4 and 12/4; what did not change counts as plus.
  CHECK(at::equal(bit_delta_model(Json::object(), inputs, 0).at("w"),
                  two_rows({1.5f, -1.5f, 1.5f, 1.5f})));
  CHECK(at::equal(bit_delta_model(Json::object(), inputs, 1).at("w"), two_rows({-3, 3, -3, 3})));
  CHECK(at::equal(merge("bit_delta", Json::object(), inputs).at("w"), at::zeros({2, 2})));
}

TEST_CASE("BitDelta's scale is the one with the least squared error", "[methods]") {
  const at::Tensor base = noise({5, 7}, 1), expert = noise({5, 7}, 2), delta = expert - base;
  const at::Tensor made =
      bit_delta_model(Json::object(), one_tensor_inputs(base, {expert}), 0).at("w") - base;
  const double scale = delta.abs().mean().item<double>();
  CHECK(distance(made, scale * delta.sign()) < 1e-6);
  const auto error = [&](double factor) {
    return (scale * factor * delta.sign() - delta).square().sum().item<double>();
  };
  CHECK(error(1) < error(.99));
  CHECK(error(1) < error(1.01));
}

TEST_CASE("BitDelta of a task vector with one magnitude is the expert", "[methods]") {
  const at::Tensor base = at::ones({3, 4}), delta = .25f * noise({3, 4}, 1).sign();
  CHECK(
      at::equal(bit_delta_model(Json::object(), one_tensor_inputs(base, {base + delta}), 0).at("w"),
                base + delta));
  CHECK(
      at::equal(bit_delta_model(Json::object(), one_tensor_inputs(base, {base}), 0).at("w"), base));
}

TEST_CASE("what BitDelta does not cut is an expert's own, the mean or the base's", "[methods]") {
  const MergeInputs inputs = three_models();
  for (const char* tensor : {"b", "embed.weight"}) {
    const at::Tensor one = inputs.experts[0]->read(tensor), two = inputs.experts[1]->read(tensor);
    const auto task = [&](const char* others) {
      return bit_delta_model({{"others", others}}, inputs, 1).at(tensor);
    };
    CHECK(at::equal(task("own"), two));
    CHECK(distance(task("mean"), (one + two) / 2) < 1e-6);
    CHECK(at::equal(task("base"), at::zeros_like(one)));
    CHECK(at::equal(merge("bit_delta", Json::object(), inputs).at(tensor), at::zeros_like(one)));
    CHECK(distance(merge("bit_delta", {{"others", "mean"}}, inputs).at(tensor), (one + two) / 2) <
          1e-6);
  }
}

TEST_CASE("a task's share of BitDelta is a bit per entry, a scale per matrix, and the rest whole",
          "[methods]") {
  const std::vector<TensorInfo> tensors{{"a", at::kFloat, {3, 3}},
                                        {"b", at::kHalf, {8}},
                                        {"embed.weight", at::kHalf, {4, 4}},
                                        {"lm_head.weight", at::kFloat, {2, 2}}};
  const auto bytes = [&](const Json& parameters) {
    return make_method("bit_delta", JsonReader(parameters, "test"))->task_bytes(tensors);
  };
  CHECK(bytes(Json::object()) == 2 + 4 + 16 + 32 + 16);
  CHECK(bytes({{"others", "mean"}}) == 2 + 4);
  CHECK(bytes({{"others", "base"}, {"exclude", Json::array()}}) == 2 + 4 + 2 + 4 + 1 + 4);
}

TEST_CASE("a task model of BitDelta counts what its formula says", "[methods][cost]") {
  const at::Tensor base = noise({40, 50}, 1);
  const MergeInputs inputs = one_tensor_inputs(base, {noise({40, 50}, 2)});
  const int64_t before = counters::flops;
  bit_delta_model(Json::object(), inputs, 0);
  CHECK(counters::flops - before == 8 * 2000);
}
