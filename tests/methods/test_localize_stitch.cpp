// Localize-and-Stitch without data.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("kept entries are averaged where they overlap, without an election", "[methods]") {
  // The golden vectors trimmed to a half, as in G2.
  const at::Tensor merged =
      merge("localize_stitch", {{"density", .5}}, golden_delta_inputs()).at("w");
  CHECK(distance(merged, matrix({.1f, -.2f / 3, -.5f, -.1f, -.5f / 3, .5f, -.4f, .25f / 3})) <
        1e-6);
}

TEST_CASE("the share to keep is taken of the whole model", "[methods]") {
  MergeInputs inputs;
  inputs.base = source("base", {{"a", at::zeros({2})}, {"b", at::zeros({2})}});
  inputs.experts = {
      source("one", {{"a", at::tensor({4.0f, 3.0f})}, {"b", at::tensor({2.0f, 1.0f})}})};

  // The threshold is the k-th smallest of 4, k = 4 - int(.25 * 4) = 3.
  const StateDict merged = merge("localize_stitch", {{"density", .25}}, inputs);
  CHECK(at::equal(merged.at("a"), at::tensor({4.0f, 3.0f})));
  CHECK(at::equal(merged.at("b"), at::zeros({2})));
}

TEST_CASE("where no expert keeps an entry it is the base's", "[methods]") {
  const MergeInputs inputs = golden_inputs();
  const at::Tensor merged = merge("localize_stitch", {{"density", 0}}, inputs).at("w");
  CHECK((merged != golden_base()).sum().item<int64_t>() <= 3);  // the largest of each expert
  CHECK(at::equal(merge("localize_stitch", {{"scale", 0}}, inputs).at("w"), golden_base()));
}
