// Methods that change another's result: Subspace Boosting and MAGIC.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor boosted(const std::vector<float>& diagonal, double beta) {
  const at::Tensor delta = at::diag(at::tensor(diagonal));
  const Json parameters{{"of", {{"method", "task_arithmetic"}, {"scale", 1}}}, {"beta", beta}};
  return merge("subspace_boosting", parameters,
               one_tensor_inputs(at::ones_like(delta), {1 + delta}))
             .at("w") -
         1;
}

/// Rows (3, 4) and (1, 0), and (-3, 4) and (1, 0), summed up with this scale.
at::Tensor calibrated_rows(double scale, const Json& sensitive) {
  const at::Tensor one = at::tensor({3.0f, 4.0f, 1.0f, 0.0f}).reshape({2, 2});
  const at::Tensor other = at::tensor({-3.0f, 4.0f, 1.0f, 0.0f}).reshape({2, 2});
  const Json parameters{{"of", {{"method", "task_arithmetic"}, {"scale", scale}}},
                        {"sensitive", sensitive}};
  return merge("magic", parameters, one_tensor_inputs(at::zeros({2, 2}), {one, other})).at("w");
}

}  // namespace

TEST_CASE("Subspace Boosting raises what follows the leading singular values", "[methods]") {
  const auto diagonal = [](const std::vector<float>& values) {
    return at::diag(at::tensor(values));
  };
  // Of a sum of 8, the first makes up .5, the first two .75.
  CHECK(distance(boosted({4, 2, 1, 1}, .4), diagonal({4, 4, 4, 4})) < 1e-6);
  CHECK(distance(boosted({4, 2, 1, 1}, .6), diagonal({4, 2, 2, 2})) < 1e-6);
  CHECK(distance(boosted({4, 2, 1, 1}, .8), diagonal({4, 2, 1, 1})) < 1e-6);
  CHECK(distance(boosted({4, 2, 1, 1}, 1), diagonal({4, 2, 1, 1})) < 1e-6);
  CHECK(distance(boosted({4, 2, 1, 1}, 0), diagonal({4, 4, 4, 4})) < 1e-6);
  // A direction that nothing changed stays so.
  CHECK(distance(boosted({4, 2, 0}, 0), diagonal({4, 4, 0})) < 1e-6);
  CHECK(at::equal(boosted({0, 0}, 0), at::zeros({2, 2})));
}

TEST_CASE("Subspace Boosting leaves vectors and excluded tensors alone", "[methods]") {
  MergeInputs inputs;
  const StateDict deltas{{"b", noise({6}, 1)}, {"embed.weight", noise({4, 6}, 2)}};
  inputs.base = source("base", {{"b", at::zeros({6})}, {"embed.weight", at::zeros({4, 6})}});
  inputs.experts = {source("one", deltas)};
  const StateDict merged =
      merge("subspace_boosting", {{"of", {{"method", "task_arithmetic"}, {"scale", 1}}}}, inputs);
  CHECK(same_bytes(merged, deltas));
}

TEST_CASE("MAGIC scales rows to the mean norm of the experts' rows", "[methods]") {
  const Json none = Json::array(), all = {"w"};
  // Sums (0, 8) and (2, 0); the experts' rows have the norms 5 and 1.
  CHECK(distance(calibrated_rows(.5, none), two_rows({0, 5, 1, 0})) < 1e-6);    // (0, 4) grows
  CHECK(distance(calibrated_rows(.25, none), two_rows({0, 5, 1, 0})) < 1e-6);   // both do
  CHECK(distance(calibrated_rows(1, none), two_rows({0, 8, 2, 0})) < 1e-6);     // none may shrink
  CHECK(distance(calibrated_rows(1, all), two_rows({0, 5, 1, 0})) < 1e-6);      // both do
  CHECK(distance(calibrated_rows(.25, all), two_rows({0, 2, .5f, 0})) < 1e-6);  // none may grow
}

TEST_CASE("MAGIC keeps rows that a merge did not change", "[methods]") {
  const at::Tensor delta = at::tensor({1.0f, 2.0f}).reshape({1, 2});
  CHECK(at::equal(
      merge("magic", Json::object(), one_tensor_inputs(at::zeros({1, 2}), {delta, -delta})).at("w"),
      at::zeros({1, 2})));
}
