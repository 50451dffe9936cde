// Edge cases of the methods on task vectors, and the statistics of random drops.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("TIES at density 1 trims nothing", "[methods]") {
  for (const char* rule : {"kth_ge", "exact_count"})
    for (const char* scope : {"model", "tensor"}) {
      const at::Tensor merged =
          merge("ties", {{"density", 1}, {"trim.rule", rule}, {"trim.scope", scope}},
                golden_delta_inputs())
              .at("w");
      // By hand: sums .3, -.2, -.45, 0 (majority -); -.5, .5, -.39, .25.
      CHECK(distance(merged, matrix({.25f, -.2f, -.5f, -.1f, -.4f, .275f, -.4f, .275f})) < 1e-6);
    }
}

TEST_CASE("a share below one entry keeps one", "[methods][pitfall-1]") {
  // int(0.2 * 4) = 0, the size of a gate or a bias.
  const at::Tensor base = at::zeros({4}), expert = at::tensor({.1f, -.4f, .2f, .3f});

  CHECK(at::equal(merge_one("ties@mergekit", {{"density", .2}}, base, {expert}),
                  at::tensor({0.0f, -.4f, 0.0f, 0.0f})));
  CHECK(at::equal(merge_one("ties@tensor", {{"density", .2}}, base, {expert}),
                  at::tensor({0.0f, -.4f, 0.0f, 0.0f})));
}

TEST_CASE("an exact count breaks ties by index, across the tensors of a model", "[methods]") {
  MergeInputs inputs;
  const StateDict zeros{{"a", at::zeros({3})}, {"b", at::zeros({3})}};
  inputs.base = source("base", zeros);
  inputs.experts = {source(
      "expert", {{"a", at::tensor({1.0f, 5.0f, -1.0f})}, {"b", at::tensor({1.0f, 1.0f, 0.0f})}})};

  // Four of six: the 5, and the first three of the four ones.
  const StateDict merged = merge("ties", {{"density", .7}, {"trim.rule", "exact_count"}}, inputs);
  CHECK(at::equal(merged.at("a"), at::tensor({1.0f, 5.0f, -1.0f})));
  CHECK(at::equal(merged.at("b"), at::tensor({1.0f, 0.0f, 0.0f})));
}

TEST_CASE("an expert equal to the base changes nothing and does not fail", "[methods][pitfall-1]") {
  const at::Tensor base = noise({5, 7}, 1);

  for (const char* ref : {"ties", "ties@tensor", "ties@mergekit", "dare", "dare@mergekit",
                          "dare_ties", "dare_ties@mergekit", "task_arithmetic"})
    CHECK(at::equal(merge_one(ref, Json::object(), base, {base, base}), base));
}

TEST_CASE("a vote of exactly zero goes by the tie rule", "[methods][pitfall-2]") {
  // The majority of the other entries is negative.
  const at::Tensor base = at::zeros({4});
  const std::vector<at::Tensor> experts{at::tensor({1.0f, -1.0f, -1.0f, 2.0f}),
                                        at::tensor({-1.0f, -1.0f, -1.0f, 2.0f})};
  const auto first = [&](const char* tie) {
    return merge_one("ties", {{"density", 1}, {"elect.tie", tie}}, base, experts)[0].item<float>();
  };

  CHECK(first("global_majority") == -1);
  CHECK(first("plus_one") == 1);
  CHECK(first("zero") == 0);
}

TEST_CASE("the sum of agreeing entries is N times their mean where all agree", "[methods]") {
  const at::Tensor base = at::zeros({2}), expert = at::tensor({1.0f, -2.0f});
  const auto merged = [&](const char* reduce) {
    return merge_one("ties", {{"density", 1}, {"reduce", reduce}}, base, {expert, expert, expert});
  };

  CHECK(at::equal(merged("mean_agree"), expert));
  CHECK(at::equal(merged("sum_agree"), 3 * expert));
}

TEST_CASE("a scale of 0 gives the base exactly", "[methods]") {
  for (const char* ref : {"task_arithmetic", "ties", "dare", "dare_ties"})
    CHECK(at::equal(merge(ref, {{"scale", 0}}, golden_inputs()).at("w"), golden_base()));
}

TEST_CASE("bfloat16 models are merged in float32 and rounded once", "[methods][pitfall-7]") {
  MergeInputs narrow, wide;
  const at::Tensor base = noise({40}, 1).to(at::kBFloat16);
  std::vector<at::Tensor> experts;
  for (uint64_t i = 2; i < 5; ++i) experts.push_back((base + noise({40}, i)).to(at::kBFloat16));
  narrow = one_tensor_inputs(base, experts);
  for (at::Tensor& expert : experts) expert = expert.to(at::kFloat);
  wide = one_tensor_inputs(base.to(at::kFloat), experts);

  for (const char* ref : {"average", "task_arithmetic", "ties", "multi_slerp"}) {
    const at::Tensor merged = merge(ref, Json::object(), narrow).at("w");
    const at::Tensor exact = merge(ref, Json::object(), wide).at("w");
    CHECK(merged.scalar_type() == at::kBFloat16);
    CHECK(at::equal(merged, exact.to(at::kBFloat16)));
  }
}

TEST_CASE("weights: one per expert, and a sum to divide by", "[methods]") {
  const MergeInputs inputs = golden_inputs();

  for (const char* ref :
       {"linear", "task_arithmetic", "ties", "dare", "dare_ties", "multi_slerp", "karcher"})
    CHECK_THROWS_WITH(merge(ref, {{"weights", {1, 2}}}, inputs),
                      Catch::Matchers::Contains("'weights' has 2 entries for 3 experts"));
  CHECK_THROWS_AS(merge("linear", {{"weights", {1, 1, -2}}}, inputs), UserError);
  CHECK_THROWS_AS(merge("multi_slerp", {{"weights", {0, 0, 0}}}, inputs), UserError);
  CHECK_NOTHROW(merge("linear", {{"weights", {1, 1, -2}}, {"normalize", false}}, inputs));
}

TEST_CASE("a sum of weights next to 0 does not divide", "[methods]") {
  const at::Tensor base = at::zeros({2}), expert = at::tensor({1.0f, -2.0f});
  const auto merged = [&](const char* ref, Json parameters, double weight) {
    parameters["weights"] = {weight};
    return merge_one(ref, parameters, base, {expert});
  };
  const Json whole{{"density", 1}}, normalized{{"normalize", true}};

  CHECK(at::equal(merged("ties@mergekit", whole, 1e-9), expert * 1e-9f));
  CHECK(distance(merged("ties@mergekit", whole, 1e-7), expert) < 1e-6);
  CHECK(at::equal(merged("task_arithmetic@mergekit", normalized, 1e-9), expert * 1e-9f));
  CHECK(distance(merged("task_arithmetic@mergekit", normalized, 1e-7), expert) < 1e-6);
}

TEST_CASE("DARE keeps each entry with probability 1 - drop, and the mean of the delta",
          "[methods]") {
  constexpr int kSeeds = 2000, kSize = 50;
  constexpr double kDrop = 0.7;
  MergeInputs inputs = one_tensor_inputs(at::zeros({kSize}), {at::ones({kSize})});
  double kept = 0, sum = 0;
  at::Tensor per_entry = at::zeros({kSize});

  for (int seed = 0; seed < kSeeds; ++seed) {
    inputs.seed = static_cast<uint64_t>(seed);
    const at::Tensor merged = merge("dare", {{"drop", kDrop}, {"scale", 1}}, inputs).at("w");
    kept += merged.ne(0).sum().item<double>();
    sum += merged.sum().item<double>();
    per_entry += merged;
  }

  const double draws = kSeeds * kSize, spread = std::sqrt(kDrop * (1 - kDrop) / draws);
  CHECK(std::abs(kept / draws - (1 - kDrop)) < 5 * spread);
  CHECK(std::abs(sum / draws - 1) < 5 * spread / (1 - kDrop));
  const double entry_spread = std::sqrt(kDrop / (1 - kDrop) / kSeeds);
  CHECK(distance(per_entry / kSeeds, at::ones({kSize})) < 5 * entry_spread);
}

TEST_CASE("DARE's masks follow the seed, the expert and the tensor", "[methods][pitfall-13]") {
  const at::Tensor one = at::ones({1000});
  const auto masks = [&](uint64_t seed) {
    MergeInputs inputs;
    inputs.seed = seed;
    inputs.base = source("base", {{"v", at::zeros({1000})}, {"w", at::zeros({1000})}});
    // The second expert counts a hundredfold, so that the sum tells both masks.
    inputs.experts = {source("a", {{"v", one}, {"w", one}}),
                      source("b", {{"v", 100 * one}, {"w", 100 * one}})};
    return merge("dare", {{"scale", 1}, {"rescale", "none"}}, inputs);
  };
  const StateDict merged = masks(1);
  const at::Tensor first = merged.at("w").remainder(100).ne(0), second = merged.at("w").ge(100);

  CHECK(same_bytes(merged, masks(1)));
  CHECK_FALSE(same_bytes(merged, masks(2)));
  CHECK_FALSE(at::equal(merged.at("v"), merged.at("w")));
  // Independent masks agree on half of 1000 entries: 5 sigma is 79.
  CHECK(std::abs(first.eq(second).sum().item<double>() - 500) < 79);
}

TEST_CASE("methods that drop at random drop the same entries under one seed", "[methods]") {
  MergeInputs inputs = one_tensor_inputs(at::zeros({1000}), {at::ones({1000})});
  inputs.seed = 5;
  const auto kept = [&](const char* ref, Json parameters) {
    parameters["rescale"] = "none";
    return merge(ref, parameters, inputs).at("w").ne(0);
  };
  const at::Tensor dare = kept("dare", {{"drop", .6}});

  CHECK(at::equal(dare, kept("dare_ties", {{"drop", .6}, {"density", 1}})));
  // A larger drop keeps some of what a smaller one keeps, and nothing else.
  const at::Tensor fewer = kept("dare", {{"drop", .9}});
  CHECK(at::equal(fewer.logical_and(dare), fewer));
  CHECK_FALSE(at::equal(fewer, dare));
}

TEST_CASE("DARE's rescale: by the share kept, by the L1 norm, or not", "[methods]") {
  const at::Tensor base = at::zeros({1000}), expert = noise({1000}, 3);
  const auto merged = [&](const char* rescale) {
    return merge_one("dare", {{"drop", .75}, {"scale", 1}, {"rescale", rescale}}, base, {expert});
  };
  const at::Tensor plain = merged("none"), kept = plain.ne(0);

  CHECK(at::equal(plain, expert * kept));
  CHECK(distance(merged("inv_keep"), 4 * plain) < 1e-6);
  CHECK(merged("l1_match").abs().sum().item<double>() ==
        Approx(expert.abs().sum().item<double>()).epsilon(1e-5));
  CHECK(at::equal(merge_one("dare", {{"drop", 1}}, base, {expert}), base));
}
