// DOP, which merges experts one after the other and balances each with those before.
#include <cmath>

#include "tests/catch.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor dop_in_order(Json parameters, const std::vector<at::Tensor>& deltas,
                        const std::string& ref = "dop") {
  parameters["order"] = "given";
  return merge_deltas(ref, parameters, deltas);
}

at::Tensor number(double value) { return at::full({1, 1}, value, at::kFloat); }
double merged_numbers(const Json& parameters, double first, double second) {
  return dop_in_order(parameters, {number(first), number(second)}).item<double>();
}

/// The losses and their gradients as they are written, by whole Gram matrices of the task vectors.
struct PlainLoss {
  at::Tensor delta;

  at::Tensor gradient(const at::Tensor& m) const {
    const at::Tensor d = m - delta;
    return 2 * (delta.mm(delta.t()).mm(d) + d.mm(delta.t().mm(delta)));
  }
  double value(const at::Tensor& m) const {
    const at::Tensor d = m - delta;
    return (delta.t().mm(d).square().sum() + d.mm(delta.t()).square().sum()).item<double>();
  }
};

/// The weight of the first that makes the sum shortest, which is found by narrowing an interval.
double searched_weight(const at::Tensor& first, const at::Tensor& second) {
  const auto length = [&](double c) {
    return (c * first + (1 - c) * second).square().sum().item<double>();
  };
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {
    const double third = (high - low) / 3;
    if (length(low + third) < length(high - third))
      high -= third;
    else
      low += third;
  }
  return (low + high) / 2;
}

}  // namespace

TEST_CASE("DOP begins at the mean of an expert and those before", "[methods][spectral]") {
  CHECK(merged_numbers({{"steps", 0}}, 8, 4) == 6);
  const std::vector<at::Tensor> four{number(8), number(4), number(2), number(1)};
  CHECK(dop_in_order({{"steps", 0}}, four).item<double>() == 2.5);  // 6, 4, 2.5
  std::vector<at::Tensor> vectors;
  for (const at::Tensor& value : four) vectors.push_back(value.flatten());
  CHECK(dop_in_order(Json::object(), vectors).item<double>() == 2.5);
}

TEST_CASE("DOP balances numbers as MGDA does", "[methods][spectral]") {
  // Losses 2 (m - 1)^2 and 18 (m - 3)^2, of logarithms with the slopes 2 / (m - 1) and 2 / (m - 3):
  // at the mean 2 both weigh 1/2, and the sum of the gradients is 2 - 18. At 2.25 the first weighs
  // .625 and the sum is .625 * 5 - .375 * 27 = -7.
  const auto merged = [](int steps) {
    return merged_numbers({{"steps", steps}, {"rate", .25}, {"decay", 0}}, 1, 3);
  };
  CHECK(merged(1) == Approx(2.25));
  const double mean = .9 * (.1 * -16) + .1 * -7, square = .999 * (.001 * 256) + .001 * 49;
  CHECK(merged(2) ==
        Approx(2.25 - .25 * (mean / (1 - .81)) / std::sqrt(square / (1 - .999 * .999))));
  // Fixed weights: -1 is the way from the mean to the first.
  CHECK(merged_numbers({{"steps", 1}, {"rate", .25}, {"balance", "fixed"}, {"alpha", 1}}, 1, 3) ==
        Approx(1.75));
}

TEST_CASE("DOP's steps are Adam's on the losses as they are written", "[methods][spectral]") {
  constexpr int kSteps = 5;
  constexpr double kRate = .01, kDecay = .5, kAlpha = .8;
  const std::vector<at::Tensor> deltas{noise({4, 6}, 1), 2 * noise({4, 6}, 2), noise({4, 6}, 3)};
  at::Tensor merged = deltas[0].to(at::kDouble);
  for (size_t i = 1; i < deltas.size(); ++i) {
    const PlainLoss before{merged}, arrived{deltas[i].to(at::kDouble)};
    at::Tensor m = (before.delta + arrived.delta) / 2, mean = at::zeros_like(m),
               square = mean.clone();
    // The loss is quadratic: central differences are its slopes.
    const at::Tensor way = .01 * noise({4, 6}, 7 + i).to(at::kDouble);
    CHECK(before.value(m + way) - before.value(m - way) ==
          Approx(2 * (before.gradient(m) * way).sum().item<double>()));
    double weight = kAlpha;
    for (int step = 1; step <= kSteps; ++step) {
      const at::Tensor first = before.gradient(m), second = arrived.gradient(m);
      const double shortest = searched_weight(first / before.value(m), second / arrived.value(m));
      weight = kDecay * weight + (1 - kDecay) * shortest;
      const at::Tensor gradient = weight * first + (1 - weight) * second;
      mean = .9 * mean + .1 * gradient;
      square = .999 * square + .001 * gradient.square();
      m = m - kRate * (mean / (1 - std::pow(.9, step))) /
                  ((square / (1 - std::pow(.999, step))).sqrt() + 1e-8);
    }
    merged = m;
  }
  const Json parameters{
      {"steps", kSteps}, {"rate", kRate}, {"decay", kDecay}, {"alpha", kAlpha}, {"share", 1}};
  CHECK(distance(dop_in_order(parameters, deltas), merged) < kSpectralTolerance);
}

TEST_CASE("DOP looks at leading directions of outputs, of inputs, or of both",
          "[methods][spectral]") {
  // The larger singular value, .75 of their sum, belongs to the first row and the second column.
  // Everywhere the mean lies 1 above what is merged so far, to whose loss all weight is given.
  const at::Tensor first = at::tensor({0.0f, 3.0f, 1.0f, 0.0f}).reshape({2, 2});
  const at::Tensor second = first + 2;
  const auto moved = [&](double share, const char* space) {
    const Json parameters{
        {"steps", 1}, {"rate", .25}, {"share", share}, {"space", space}, {"alpha", 1}};
    return 4 * (first + 1 - dop_in_order(parameters, {first, second}, "dop@fixed"));
  };
  const auto entries = [](const std::vector<float>& values) {
    return at::tensor(values).reshape({2, 2});
  };
  CHECK(distance(moved(.7, "u"), entries({1, 1, 0, 0})) < kSpectralTolerance);
  CHECK(distance(moved(.7, "v"), entries({0, 1, 0, 1})) < kSpectralTolerance);
  CHECK(distance(moved(.7, "uv"), entries({1, 1, 0, 1})) < kSpectralTolerance);
  for (const char* space : {"u", "v", "uv"})
    CHECK(distance(moved(.8, space), at::ones({2, 2})) < kSpectralTolerance);
}

TEST_CASE("DOP of copies is the copy, and an expert that is the base has no say",
          "[methods][spectral]") {
  const at::Tensor delta = noise({4, 6}, 1), zeros = at::zeros({4, 6});
  CHECK(distance(dop_in_order(Json::object(), {delta, delta, delta}), delta) < kSpectralTolerance);
  CHECK(at::equal(dop_in_order(Json::object(), {delta}), delta));
  CHECK(at::equal(dop_in_order(Json::object(), {zeros, zeros}), zeros));
  // From the mean, .5, towards the one that changed something.
  CHECK(merged_numbers({{"steps", 1}, {"rate", .25}}, 1, 0) == Approx(.75));
  CHECK(merged_numbers({{"steps", 1}, {"rate", .25}}, 0, 1) == Approx(.75));
}

TEST_CASE("DOP's order is drawn by the seed unless it is given", "[methods][spectral]") {
  MergeInputs inputs = one_tensor_inputs(
      at::zeros({4, 4}), {noise({4, 4}, 1), noise({4, 4}, 2), noise({4, 4}, 3), noise({4, 4}, 4)});
  std::vector<at::Tensor> results;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    inputs.seed = seed;
    results.push_back(merge("dop", {{"steps", 2}}, inputs).at("w"));
    CHECK(at::equal(results.back(), merge("dop", {{"steps", 2}}, inputs).at("w")));
  }
  CHECK(std::any_of(results.begin(), results.end(), [&](const at::Tensor& result) {
    return distance(result, results.front()) > 1e-3;
  }));
  const auto randomized = [](const Json& parameters) {
    return make_method("dop", JsonReader(parameters, "test"))->randomized();
  };
  CHECK(randomized(Json::object()));
  CHECK_FALSE(randomized({{"order", "given"}}));
}
