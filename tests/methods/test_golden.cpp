// The golden vectors: small enough to check by hand, and cross-checked against the functions of the
// repositories that published the methods.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// What a method makes of the golden task vectors over a base of zeros.
at::Tensor merged_delta(const std::string& ref, const Json& parameters) {
  return merge(ref, parameters, golden_delta_inputs()).at("w");
}

MergeInputs vectors(const std::vector<at::Tensor>& experts) {
  return one_tensor_inputs({}, experts);
}

const at::Tensor& vector_a() {
  static const at::Tensor a = at::tensor({1.0f, 2.0f, 2.0f});
  return a;
}
const at::Tensor& vector_b() {
  static const at::Tensor b = at::tensor({0.0f, 3.0f, 4.0f});
  return b;
}
const at::Tensor& vector_c() {
  static const at::Tensor c = at::tensor({2.0f, 0.0f, -1.0f});
  return c;
}

}  // namespace

TEST_CASE("G1: average and task arithmetic", "[methods][golden]") {
  const at::Tensor average = merge("average", Json::object(), golden_inputs()).at("w");
  const at::Tensor sum = merge("task_arithmetic", {{"scale", .3}}, golden_inputs()).at("w");

  CHECK(distance(average, matrix({1.1f, -2.0666666667f, .35f, 0, .0833333333f, 3.1666666667f,
                                  -1.13f, 2.0833333333f})) < kTolerance);
  CHECK(distance(sum, matrix({1.09f, -2.06f, .365f, 0, .1f, 3.15f, -1.117f, 2.075f})) < kTolerance);
}

TEST_CASE("G1: task arithmetic at 1/N is the average", "[methods][golden]") {
  CHECK(distance(merge("task_arithmetic", {{"scale", 1.0 / 3}}, golden_inputs()).at("w"),
                 merge("average", Json::object(), golden_inputs()).at("w")) < kTolerance);
}

TEST_CASE("G2: TIES by the paper's rule, half kept", "[methods][golden]") {
  CHECK(distance(merged_delta("ties", {{"density", .5}}),
                 matrix({.25f, -.2f, -.5f, -.1f, -.4f, .5f, -.4f, .275f})) < kTolerance);
  CHECK(distance(merged_delta("ties", {{"density", .5}, {"reduce", "sum_agree"}}),
                 matrix({.5f, -.4f, -.5f, -.1f, -.8f, .5f, -.4f, .55f})) < kTolerance);
  CHECK(distance(merged_delta("ties", {{"density", .5}, {"reduce", "max_agree"}}),
                 matrix({.4f, -.3f, -.5f, -.1f, -.6f, .5f, -.4f, .3f})) < kTolerance);
}

TEST_CASE("G2: TIES by the paper's rule, a quarter kept, a tie at the threshold",
          "[methods][golden][pitfall-1]") {
  CHECK(distance(merged_delta("ties", {{"density", .25}}),
                 matrix({.4f, -.3f, -.5f, 0, -.6f, .5f, -.4f, .275f})) < kTolerance);
  CHECK(merged_delta("ties", {{"density", .25}, {"reduce", "sum_agree"}})[1][3].item<float>() ==
        Approx(.55).epsilon(kTolerance));
}

TEST_CASE("G2: TIES by mergekit's rule", "[methods][golden]") {
  CHECK(distance(merged_delta("ties@mergekit", {{"density", .5}}),
                 matrix({.4f, -.3f, -.5f, 0, -.4f, .5f, -.4f, .275f})) < kTolerance);
  CHECK(distance(merged_delta("ties@mergekit", {{"density", .25}}),
                 matrix({.4f, 0, -.5f, 0, -.6f, .5f, -.4f, 0})) < kTolerance);
}

TEST_CASE("G3: SLERP", "[methods][golden]") {
  const MergeInputs inputs = vectors({vector_a(), vector_b()});

  const at::Tensor quarter = merge("slerp", {{"t", .25}}, inputs).at("w");
  CHECK(distance(quarter, at::tensor({.7574633751, 2.2809738981, 2.5363229473})) < kTolerance);
  CHECK(quarter.norm().item<double>() == Approx(3.4942133280).epsilon(kTolerance));
  const at::Tensor half = merge("slerp", {{"t", .5}}, inputs).at("w");
  CHECK(distance(half, at::tensor({.5085476277, 2.5427381386, 3.0512857663})) < kTolerance);
  CHECK(at::equal(merge("slerp", {{"t", 0}}, inputs).at("w"), vector_a()));
  CHECK(at::equal(merge("slerp", {{"t", 1}}, inputs).at("w"), vector_b()));
}

TEST_CASE("G4: multi-SLERP", "[methods][golden]") {
  const MergeInputs inputs = vectors({vector_a(), vector_b(), vector_c()});

  CHECK(distance(merge("multi_slerp", {{"weights", {.5, .3, .2}}}, inputs).at("w"),
                 at::tensor({1.5164056759, 2.2526894502, 2.1234843159})) < kTolerance);
}

TEST_CASE("G5: Karcher mean", "[methods][golden]") {
  const MergeInputs three = vectors({vector_a(), vector_b(), vector_c()});
  const MergeInputs two = vectors({vector_a(), vector_b()});

  MergeReport report;
  CHECK(distance(merge("karcher", Json::object(), three, &report).at("w"),
                 at::tensor({2.2547468554, 2.0559556253, 1.5267814878})) < kTolerance);
  CHECK(report.diagnostics.at("iterations") == 4);
  CHECK(distance(merge("karcher", {{"weights", {.5, .3, .2}}}, three).at("w"),
                 at::tensor({1.7628095475, 2.2204164433, 1.9610035417})) < kTolerance);
  CHECK(distance(merge("karcher", Json::object(), two).at("w"),
                 at::tensor({.6780635036, 2.5766413138, 2.9834794159})) < kTolerance);
}

TEST_CASE("G5: MLERP", "[methods][golden]") {
  const MergeInputs inputs = vectors({vector_a(), vector_b(), vector_c()});

  for (const char* scope : {"model", "tensor"})
    CHECK(distance(merge("mlerp", {{"scope", scope}}, inputs).at("w"),
                   at::tensor({1.9528336647, 3.2547227745, 3.2547227745})) < kTolerance);
}
