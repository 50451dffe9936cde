// Breadcrumbs and DELLA: which entries of the task vectors are left, and what they come to.
#include "harness/core/error.h"
#include "methods/dense/magnitude_drop.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

TEST_CASE("G7: Breadcrumbs of rows", "[methods][golden]") {
  const Json parameters{{"density", .5}, {"gamma", .25}, {"scale", 1}};

  // Each row loses its largest entry and keeps the two that follow.
  CHECK(at::equal(merge_deltas("breadcrumbs", parameters, {golden_deltas()[0]}),
                  matrix({0, -.1f, .03f, 0, -.2f, 0, 0, -.3f})));
}

TEST_CASE("Breadcrumbs of whole tensors, by hand", "[methods]") {
  const at::Tensor delta = at::tensor({5.0f, -4.0f, 3.0f, -2.0f, 1.0f, 0.5f, 0.0f, 0.25f});
  const auto kept = [&](double density, double gamma, Json more = Json::object()) {
    more.update({{"density", density}, {"gamma", gamma}, {"scope", "tensor"}, {"scale", 1}});
    return merge_deltas("breadcrumbs", more, {delta.reshape({4, 2})}).flatten();
  };

  // One outlier, then three.
  CHECK(at::equal(kept(.4, .15), delta * at::tensor({0, 1, 1, 1, 0, 0, 0, 0})));
  // Two and seven are more than eight: fewer are kept, or fewer are outliers.
  CHECK(at::equal(kept(.9, .25), delta * at::tensor({0, 0, 1, 1, 1, 1, 1, 1})));
  CHECK(at::equal(kept(.9, .25, {{"when_short", "remove_fewer"}}),
                  delta * at::tensor({0, 1, 1, 1, 1, 1, 1, 1})));
  // The L1 norm of the whole is 15.75, that of what is left 9.
  CHECK(distance(kept(.4, .15, {{"rescale", true}}),
                 delta * at::tensor({0, 1, 1, 1, 0, 0, 0, 0}) * 1.75f) < 1e-6);
}

TEST_CASE("Breadcrumbs does not wipe small tensors", "[methods][pitfall-6]") {
  const at::Tensor bias = at::tensor({.1f, -.4f, .2f, .3f});

  // No outlier among four, and less than one entry to keep.
  CHECK(at::equal(merge_deltas("breadcrumbs", {{"scale", 1}}, {bias}),
                  at::tensor({0.0f, -.4f, 0.0f, 0.0f})));
  CHECK(at::equal(merge_deltas("breadcrumbs", {{"density", 1}, {"gamma", 0}, {"scale", 1}}, {bias}),
                  bias));
  // One column is its own largest entry.
  const at::Tensor column = bias.reshape({4, 1});
  CHECK(at::equal(merge_deltas("breadcrumbs", {{"gamma", 1}, {"scale", 1}}, {column}), column));
  CHECK(at::equal(merge_deltas("breadcrumbs@mergekit", {{"density", .2}}, {bias}), at::zeros({4})));
}

TEST_CASE("Breadcrumbs keeps the first of equal entries", "[methods]") {
  const at::Tensor equal = at::ones({2, 5});
  const Json parameters{{"density", .4}, {"gamma", .2}, {"scale", 1}};

  const at::Tensor row = at::tensor({0.0f, 1.0f, 1.0f, 0.0f, 0.0f});
  CHECK(at::equal(merge_deltas("breadcrumbs", parameters, {equal}), at::stack({row, row})));
}

TEST_CASE("Breadcrumbs adds task vectors up, or merges them as TIES does", "[methods]") {
  const std::vector<at::Tensor> deltas{at::tensor({1.0f, 2.0f}), at::tensor({3.0f, -1.0f})};
  const Json whole{{"density", 1}, {"gamma", 0}};
  const auto merged = [&](const char* ref, Json more) {
    more.update(whole);
    return merge_deltas(ref, more, deltas);
  };

  CHECK(at::equal(merged("breadcrumbs", {{"scale", .5}}), at::tensor({2.0f, .5f})));
  CHECK(at::equal(merged("breadcrumbs", {{"scale", 1}, {"normalize", true}, {"weights", {1, 3}}}),
                  at::tensor({2.5f, -.25f})));
  CHECK(at::equal(merged("breadcrumbs@ties", Json::object()), at::tensor({2.0f, 2.0f})));
  CHECK(at::equal(merged("breadcrumbs@mergekit_ties", Json::object()), at::tensor({4.0f, 2.0f})));
}

TEST_CASE("G7: DELLA's probabilities to stay", "[methods][golden][pitfall-6]") {
  const at::Tensor probabilities =
      MagnitudeDrop::keep_probabilities(golden_deltas()[0], /*drop=*/.3, /*window=*/.14);

  CHECK(distance(probabilities, matrix({.77f, .7233333f, .6766667f, .63f, .6766667f, .77f, .63f,
                                        .7233333f})) < 1e-6);
  // Equal entries are in their order, and a single one has the mean.
  CHECK(distance(MagnitudeDrop::keep_probabilities(at::zeros({3}), .3, .2),
                 at::tensor({.6f, .7f, .8f})) < 1e-6);
  CHECK(distance(MagnitudeDrop::keep_probabilities(at::ones({2, 1}), .3, .2),
                 at::full({2, 1}, .7)) < 1e-6);
}

TEST_CASE("DELLA keeps an entry as often as its rank says, and the mean of the delta",
          "[methods]") {
  constexpr int kSeeds = 2000;
  const at::Tensor delta = at::tensor({.1f, -.4f, .2f, .3f});
  const at::Tensor wanted = at::tensor({.5f, .9f, .6333333f, .7666667f});
  MergeInputs inputs = one_tensor_inputs(at::zeros({4}), {delta});
  at::Tensor kept = at::zeros({4}), sum = at::zeros({4});

  for (int seed = 0; seed < kSeeds; ++seed) {
    inputs.seed = static_cast<uint64_t>(seed);
    const at::Tensor merged =
        merge("della_linear", {{"drop", .3}, {"window", .4}, {"scale", 1}}, inputs).at("w");
    kept += merged.ne(0);
    sum += merged;
  }

  const at::Tensor spread = (wanted * (1 - wanted) / kSeeds).sqrt();
  CHECK(((kept / kSeeds - wanted).abs() < 5 * spread).all().item<bool>());
  CHECK(((sum / kSeeds - delta).abs() < 5 * spread / wanted * delta.abs()).all().item<bool>());
}

TEST_CASE("DELLA without a window drops what DARE drops", "[methods]") {
  MergeInputs inputs = one_tensor_inputs(at::zeros({40, 25}), {noise({40, 25}, 3)});
  inputs.seed = 5;
  const Json parameters{{"drop", .6}, {"scale", 1}};
  Json flat = parameters;
  flat["window"] = 0;

  const at::Tensor dare = merge("dare", parameters, inputs).at("w");
  CHECK(distance(merge("della_linear", flat, inputs).at("w"), dare) < 1e-6);
  CHECK(at::equal(merge("della", flat, inputs).at("w").ne(0), dare.ne(0)));
}

TEST_CASE("DELLA's rescale: by each probability, by the L1 norm, or not", "[methods]") {
  const at::Tensor delta = noise({1000}, 3);
  const auto merged = [&](const char* rescale) {
    return merge_deltas("della", {{"drop", .5}, {"window", .4}, {"scale", 1}, {"rescale", rescale}},
                        {delta});
  };
  const at::Tensor plain = merged("none"), kept = plain.ne(0);

  CHECK(at::equal(plain, delta * kept));
  const at::Tensor probabilities = MagnitudeDrop::keep_probabilities(delta, .5, .4);
  CHECK(distance(merged("inv_keep"), kept * delta / probabilities) < 1e-6);
  CHECK(merged("l1_match").abs().sum().item<double>() ==
        Approx(delta.abs().sum().item<double>()).epsilon(1e-5));
}

TEST_CASE("DELLA elects signs, and della_linear adds up", "[methods]") {
  const std::vector<at::Tensor> deltas{at::tensor({1.0f, 2.0f}), at::tensor({3.0f, -1.0f})};
  const Json none{{"drop", 0}};

  CHECK(distance(merge_deltas("della", none, deltas), at::tensor({2.2f, 2.2f})) < 1e-6);
  CHECK(at::equal(merge_deltas("della@mergekit", none, deltas), at::tensor({2.0f, 2.0f})));
  CHECK(at::equal(merge_deltas("della_linear@mergekit", none, deltas), at::tensor({4.0f, 1.0f})));
  CHECK(at::equal(merge_deltas("della", {{"drop", 1}}, deltas), at::zeros({2})));
}

TEST_CASE("DELLA refuses probabilities outside of 0 to 1", "[methods]") {
  CHECK_THROWS_WITH(merge_deltas("della", {{"drop", .1}, {"window", .4}}, {at::ones({2})}),
                    Contains("from -0.1 to 0.3") && Contains("expected"));
  CHECK_THROWS_WITH(merge_deltas("della_linear", {{"windows", {.1, .9}}}, {at::ones({2})}),
                    Contains("window of 0.9"));
  CHECK_THROWS_WITH(merge_deltas("della", {{"windows", {.1, .2}}}, {at::ones({2})}),
                    Contains("'windows' has 2 entries for 1 experts"));
  CHECK_NOTHROW(merge_deltas("della", {{"drop", 0}, {"window", .4}}, {at::ones({2})}));
}
