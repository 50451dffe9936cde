#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("SLERP of nearly parallel tensors is linear, and says how often", "[methods]") {
  MergeInputs inputs;
  const at::Tensor a = at::tensor({1.0f, 0.0f}), near = at::tensor({2.0f, 0.01f});
  inputs.experts = {source("a", {{"near", a}, {"wide", a}}),
                    source("b", {{"near", near}, {"wide", at::tensor({0.0f, 1.0f})}})};

  MergeReport report;
  const StateDict merged = merge("slerp", {{"t", .25}}, inputs, &report);

  CHECK(distance(merged.at("near"), at::tensor({1.25f, .0025f})) < 1e-6);
  CHECK(distance(merged.at("wide"), at::tensor({std::cos(M_PI / 8), std::sin(M_PI / 8)})) < 1e-6);
  CHECK(report.diagnostics.at("lerp_frac") == .5);
}

TEST_CASE("opposite directions give a finite result or a clear error", "[methods]") {
  const at::Tensor a = at::tensor({1.0f, 0.0f});
  const MergeInputs two = one_tensor_inputs({}, {a, -a});
  const at::Tensor third = at::tensor({0.0f, 0.0f});

  CHECK(at::equal(merge("slerp", Json::object(), two).at("w"), at::zeros({2})));
  CHECK(at::equal(merge("multi_slerp", Json::object(), two).at("w"), at::zeros({2})));
  CHECK(merge("karcher", Json::object(), two).at("w").isfinite().all().item<bool>());
  CHECK_THROWS_AS(merge("mlerp", Json::object(), two), DataError);
  CHECK_THROWS_WITH(merge("multi_slerp", Json::object(), one_tensor_inputs({}, {a, -a, third})),
                    Catch::Matchers::Contains("'w'"));
}

TEST_CASE("a tensor that is zero in one expert still counts in the mean norm", "[methods]") {
  const at::Tensor a = at::tensor({3.0f, 4.0f}), zero = at::zeros({2});

  for (const char* ref : {"karcher", "multi_slerp"})
    CHECK(distance(merge(ref, Json::object(), one_tensor_inputs({}, {a, zero})).at("w"), a / 2) <
          1e-6);
}

TEST_CASE("MLERP's scope says whose norms count", "[methods]") {
  MergeInputs inputs;
  const at::Tensor x = at::tensor({1.0f, 0.0f}), y = at::tensor({0.0f, 1.0f});
  inputs.experts = {source("a", {{"p", x}, {"q", 3 * x}}), source("b", {{"p", y}, {"q", 3 * x}})};

  // Per tensor: p has mean (.5, .5) and norm 1. Model: norms sqrt(10), mean norm sqrt(9.5).
  CHECK(distance(merge("mlerp", {{"scope", "tensor"}}, inputs).at("p"),
                 at::tensor({std::sqrt(.5), std::sqrt(.5)})) < 1e-6);
  CHECK(distance(merge("mlerp", {{"scope", "model"}}, inputs).at("p"),
                 at::tensor({.5, .5}) * std::sqrt(10 / 9.5)) < 1e-6);
}

TEST_CASE("the order of experts does not matter to symmetric methods", "[methods]") {
  const at::Tensor base = noise({30}, 9);
  const std::vector<at::Tensor> experts{noise({30}, 1), noise({30}, 2), noise({30}, 3)};
  const MergeInputs forward = one_tensor_inputs(base, experts);
  const MergeInputs backward = one_tensor_inputs(base, {experts[2], experts[1], experts[0]});

  for (const char* ref : {"average", "linear", "task_arithmetic", "ties", "ties@mergekit",
                          "multi_slerp", "karcher", "mlerp"})
    CHECK(distance(merge(ref, Json::object(), forward).at("w"),
                   merge(ref, Json::object(), backward).at("w")) < 1e-5);
}
