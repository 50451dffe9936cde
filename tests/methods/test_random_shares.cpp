// Methods that draw: M3's share, and RanDeS' signs.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("M3 draws its share from a symmetric beta distribution", "[methods]") {
  // Of the experts 1 and 0 the merge is the share itself. 5 standard errors of 4000 draws.
  constexpr int kDraws = 4000;
  MergeInputs inputs = one_tensor_inputs({}, {at::ones({1}), at::zeros({1})});
  for (const double alpha : {.2, 1., 5.}) {
    CAPTURE(alpha);
    double sum = 0, squares = 0, fourth = 0;
    for (int seed = 0; seed < kDraws; ++seed) {
      inputs.seed = static_cast<uint64_t>(seed);
      const double share = merge("m3", {{"alpha", alpha}}, inputs).at("w").item<double>();
      REQUIRE((share >= 0 && share <= 1));
      const double square = (share - .5) * (share - .5);
      sum += share;
      squares += square;
      fourth += square * square;
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    const double mean = sum / kDraws, found = squares / kDraws;
    CHECK(std::abs(mean - .5) < 5 * std::sqrt(variance / kDraws));
    CHECK(std::abs(found - variance) <
          5 * std::sqrt((fourth / kDraws - variance * variance) / kDraws));
  }
}

TEST_CASE("M3 draws one share for a whole model", "[methods]") {
  MergeInputs inputs;
  inputs.seed = 7;
  inputs.experts = {source("one", {{"a", at::ones({3})}, {"b", at::ones({2})}}),
                    source("other", {{"a", at::zeros({3})}, {"b", at::zeros({2})}})};
  const StateDict merged = merge("m3", Json::object(), inputs);
  CHECK(at::equal(merged.at("a"), merged.at("b")[0].expand({3})));
}

TEST_CASE("RanDeS gives a task its own task vector and the others' with random signs",
          "[methods]") {
  constexpr int64_t kColumns = 64;
  const at::Tensor base = noise({3, kColumns}, 1);
  const std::vector<at::Tensor> deltas{noise({3, kColumns}, 2), noise({3, kColumns}, 3)};
  MergeInputs inputs = one_tensor_inputs(base, {base + deltas[0], base + deltas[1]});
  inputs.seed = 5;
  std::vector<at::Tensor> signs;
  for (size_t i = 0; i < 2; ++i) {
    inputs.task_expert = i;
    const at::Tensor merged = merge("randes", {{"scale", .5}}, inputs).at("w");
    const at::Tensor noise_of_other = (merged - base) * 2 - deltas[i];
    signs.push_back((noise_of_other / deltas[1 - i]).mean(0).round());
    CHECK(distance(signs[i].abs(), at::ones({kColumns})) < 1e-6);
    CHECK(distance(noise_of_other, deltas[1 - i] * signs[i]) < 1e-5);
  }
  CHECK(at::equal(signs[0], signs[1]));  // the product of the two experts' signs
  const double flipped = (signs[0] < 0).to(at::kDouble).mean().item<double>();
  CHECK(std::abs(flipped - .5) < 5 * .5 / std::sqrt(kColumns));

  inputs.task_expert.reset();
  CHECK(at::equal(merge("randes", Json::object(), inputs).at("w"), base));
}

TEST_CASE("RanDeS of one expert is task arithmetic, and averages vectors", "[methods]") {
  const StateDict base{{"w", noise({4, 6}, 1)}, {"b", noise({4}, 2)}};
  const StateDict one{{"w", noise({4, 6}, 3)}, {"b", noise({4}, 4)}};
  MergeInputs inputs;
  inputs.base = source("base", base);
  inputs.experts = {source("one", one)};
  inputs.task_expert = 0;
  const StateDict merged = merge("randes", {{"scale", 1}}, inputs);
  CHECK(distance(merged.at("w"), one.at("w")) < 1e-6);
  CHECK(distance(merged.at("b"), one.at("b")) < 1e-6);
}
