// AIM: what a merge changed, damped where a layer's inputs are large.
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Mean magnitudes as the statistic has them.
at::Tensor moments(const std::vector<float>& magnitudes) {
  at::Tensor rows = at::zeros({4, static_cast<int64_t>(magnitudes.size())}, at::kDouble);
  rows[2].copy_(at::tensor(magnitudes));
  return rows;
}

/// The sum of the task vectors, damped.
Json aim(double omega) {
  return {{"omega", omega}, {"of", {{"method", "task_arithmetic"}, {"scale", 1}}}};
}

}  // namespace

TEST_CASE("AIM damps columns by the experts' mean magnitudes", "[methods]") {
  FakeEvidence evidence;
  evidence.add_linear("w", 3);
  evidence.statistics["activation_moments"] = {{{"w", moments({2, 1, 0})}},
                                               {{"w", moments({6, 3, 0})}}};
  MergeInputs inputs =
      one_tensor_inputs(at::ones({2, 3}), {at::full({2, 3}, 2.0f), at::full({2, 3}, 4.0f)});
  inputs.evidence = &evidence;

  // Shares 8, 4, 0 of 8; the sum changes every entry by 4.
  CHECK(distance(merge("aim", aim(.4), inputs).at("w"),
                 at::tensor({1 + 4 * .4f, 1 + 4 * .7f, 5.0f}).expand({2, 3})) < 1e-6);
  CHECK(distance(merge("aim", aim(1), inputs).at("w"), at::full({2, 3}, 5.0f)) < 1e-6);
}

TEST_CASE("AIM knows weights stored by input, and leaves what is no layer", "[methods]") {
  FakeEvidence evidence;
  evidence.add_linear("w", 2, /*in_out=*/true);
  evidence.statistics["activation_moments"] = {{{"w", moments({1, 4})}}};
  MergeInputs inputs = one_tensor_inputs(at::zeros({2, 3}), {at::ones({2, 3})});
  inputs.evidence = &evidence;
  CHECK(distance(merge("aim", aim(0), inputs).at("w"),
                 at::tensor({.75f, 0.0f}).view({2, 1}).expand({2, 3})) < 1e-6);

  evidence.layers.clear();
  CHECK(distance(merge("aim", aim(0), inputs).at("w"), at::ones({2, 3})) < 1e-6);
}

TEST_CASE("AIM without a token that reached a layer changes nothing", "[methods]") {
  FakeEvidence evidence;
  evidence.add_linear("w", 2);
  evidence.statistics["activation_moments"] = {StateDict{}};
  MergeInputs inputs = one_tensor_inputs(at::zeros({1, 2}), {at::ones({1, 2})});
  inputs.evidence = &evidence;
  CHECK(distance(merge("aim", aim(.4), inputs).at("w"), at::ones({1, 2})) < 1e-6);
}
