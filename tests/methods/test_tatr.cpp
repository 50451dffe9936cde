// TATR without data: entries of great conflict stay the base's.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("TATR leaves the entries of greatest conflict at the base", "[methods]") {
  // Conflicts of the golden task vectors, halved: .14, .11, .0256, .01, .36, .0525, .004, .24.
  const auto merged = [](double quantile) {
    return merge("tatr", {{"quantile", quantile}, {"scale", 1}}, golden_delta_inputs()).at("w");
  };

  CHECK(distance(merged(1), matrix({.3f, -.2f, -.45f, 0, -.5f, .5f, -.39f, .25f})) < 1e-6);
  CHECK(distance(merged(.875), matrix({.3f, -.2f, -.45f, 0, 0, .5f, -.39f, .25f})) < 1e-6);
  CHECK(distance(merged(.5), matrix({0, 0, -.45f, 0, 0, .5f, -.39f, 0})) < 1e-6);
}

TEST_CASE("TATR takes the border over the whole model", "[methods]") {
  MergeInputs inputs;
  inputs.base = source("base", {{"a", at::zeros({2})}, {"b", at::zeros({2})}});
  const StateDict deltas{{"a", at::tensor({4.0f, 3.0f})}, {"b", at::tensor({2.0f, 1.0f})}};
  inputs.experts = {source("one", deltas), source("other", deltas)};

  const StateDict merged = merge("tatr", {{"quantile", .5}, {"scale", .5}}, inputs);
  CHECK(at::equal(merged.at("a"), at::zeros({2})));
  CHECK(at::equal(merged.at("b"), deltas.at("b")));
}

TEST_CASE("TATR keeps a model of equal conflicts, FusionBench's rule wipes it out", "[methods]") {
  const at::Tensor delta = at::ones({10});
  const MergeInputs inputs = one_tensor_inputs(at::zeros({10}), {delta, delta});

  CHECK(at::equal(merge("tatr", {{"scale", .5}}, inputs).at("w"), delta));
  CHECK(at::equal(merge("tatr@fusionbench", {{"scale", .5}}, inputs).at("w"), at::zeros({10})));
}

TEST_CASE("FusionBench's rule drops what lies at its border", "[methods]") {
  // Conflicts 2, 8, 18, 32: half of four entries leaves the border at 18.
  const at::Tensor delta = at::tensor({1.0f, 2.0f, 3.0f, 4.0f});
  const MergeInputs inputs = one_tensor_inputs(at::zeros({4}), {delta, delta});
  CHECK(at::equal(merge("tatr@fusionbench", {{"quantile", .5}, {"scale", .5}}, inputs).at("w"),
                  at::tensor({1.0f, 2.0f, 0.0f, 0.0f})));
}
