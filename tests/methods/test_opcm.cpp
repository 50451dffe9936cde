// OPCM, which takes experts one after the other.
#include <cmath>

#include "tests/catch.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;

namespace {

StateDict merged_in_order(const std::vector<StateDict>& experts, double alpha) {
  MergeInputs inputs;
  StateDict base;
  for (const auto& [name, tensor] : experts.front()) base[name] = at::zeros_like(tensor);
  inputs.base = source("base", base);
  for (const StateDict& expert : experts) inputs.experts.push_back(source("expert", expert));
  return merge("opcm", {{"order", "given"}, {"alpha", alpha}}, inputs);
}

}  // namespace

TEST_CASE("OPCM adds a task vector off the leading directions of those before",
          "[methods][spectral]") {
  // Shares of the singular values: 0.75 and 1. Both directions pair with themselves.
  const at::Tensor first = two_rows({3, 0, 0, 1}), second = two_rows({5, 6, 7, 8});
  const double mean = (std::sqrt(10.0) + std::sqrt(174.0)) / 2;

  const auto scaled = [&](const at::Tensor& sum) {
    return sum * (mean / sum.norm().item<double>());
  };
  CHECK(distance(merged_in_order({{{"w", first}}, {{"w", second}}}, 0.5).at("w"),
                 scaled(two_rows({3, 6, 7, 1}))) < kSpectralTolerance);
  // All pairs of leading directions: nothing is left of the second.
  CHECK(distance(merged_in_order({{{"w", first}}, {{"w", second}}}, 1).at("w"), scaled(first)) <
        kSpectralTolerance);
  CHECK(distance(merged_in_order({{{"w", first}}}, 0.5).at("w"), first) < kSpectralTolerance);
}

TEST_CASE("OPCM scales the sum over the whole model to the task vectors' mean norm",
          "[methods][spectral]") {
  const StateDict first{{"bias", at::tensor({3.0f, 0.0f})}, {"w", two_rows({0, 0, 0, 4})}};
  const StateDict second{{"bias", at::tensor({0.0f, 3.0f})}, {"w", two_rows({4, 0, 0, 0})}};
  // Norms 5 and 5; of the sum, (3, 3) and (4, 4), the root of 50.
  const StateDict merged = merged_in_order({first, second}, 0.5);

  CHECK(distance(merged.at("bias"), at::full({2}, 3 * 5 / std::sqrt(50.0))) < kSpectralTolerance);
  CHECK(distance(merged.at("w"), two_rows({4, 0, 0, 4}) * (5 / std::sqrt(50.0))) <
        kSpectralTolerance);
}

TEST_CASE("OPCM's order is drawn by the seed", "[methods][spectral]") {
  MergeInputs inputs = one_tensor_inputs(
      at::zeros({4, 4}), {noise({4, 4}, 1), noise({4, 4}, 2), noise({4, 4}, 3), noise({4, 4}, 4)});
  std::vector<at::Tensor> results;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    inputs.seed = seed;
    results.push_back(merge("opcm", Json::object(), inputs).at("w"));
    CHECK(at::equal(results.back(), merge("opcm", Json::object(), inputs).at("w")));
  }

  CHECK(std::any_of(results.begin(), results.end(), [&](const at::Tensor& result) {
    return distance(result, results.front()) > 1e-3;
  }));
}

TEST_CASE("OPCM in a given order does not depend on the seed", "[methods][spectral]") {
  const auto randomized = [](const Json& parameters) {
    return make_method("opcm", JsonReader(parameters, "test"))->randomized();
  };
  CHECK(randomized(Json::object()));
  CHECK_FALSE(randomized({{"order", "given"}}));
}
