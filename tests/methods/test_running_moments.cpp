// What becomes of the running moments of BatchNorm layers: they are no weights.
#include "harness/method/running_moments.h"

#include "tests/catch.h"
#include "tests/conformance/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr const char* kVariance = "bn.running_var";

/// Experts whose variances are 1 and 3 over a base of 8, next to weights.
MergeInputs normed_models() {
  const auto model = [](const std::string& name, double variance, uint64_t key) {
    return source(name, {{kVariance, at::full({4}, variance)},
                         {"bn.running_mean", at::full({4}, -variance)},
                         {"w", noise({4, 4}, key)}});
  };
  MergeInputs inputs;
  inputs.base = model("base", 8, 1);
  inputs.experts = {model("a", 1, 2), model("b", 3, 3)};
  return inputs;
}

bool all_are(const at::Tensor& tensor, double value) {
  return at::equal(tensor, at::full_like(tensor, value));
}

}  // namespace

TEST_CASE("running moments are known by their names", "[methods][running_moments]") {
  CHECK(is_running_moment("layer1.0.bn2.running_mean"));
  CHECK(is_running_moment(kVariance));
  CHECK_FALSE(is_running_moment("bn.weight"));
  CHECK_FALSE(is_running_moment("running_var.weight"));
}

TEST_CASE("running moments are the experts' mean, whatever a method does with weights",
          "[methods][running_moments]") {
  const MergeInputs inputs = normed_models();
  // As weights, the sum of these differences would be 8 - 7 - 5 = -4, no variance at all.
  const std::vector<std::pair<const char*, Json>> methods{
      {"task_arithmetic", {{"scale", 1}}},
      {"ties", {{"density", 0.25}}},
      {"dare", Json::object()},
      {"average", Json::object()},
      {"trim", {{"density", 0.25}, {"of", "ties"}}},
      {"git_rebasin", {{"by", "none"}, {"of", "task_arithmetic"}}}};
  FakeEvidence evidence;
  evidence.groups = {{.units = 4, .axes = {{"w", 0}, {kVariance, 0}}}};
  for (const auto& [method, parameters] : methods) {
    CAPTURE(method);
    MergeInputs with = inputs;
    with.evidence = &evidence;
    const StateDict merged = merge(method, parameters, with);
    CHECK(all_are(merged.at(kVariance), 2));
    CHECK(all_are(merged.at("bn.running_mean"), -2));
  }
}

TEST_CASE("methods that take weighted means do so of running moments",
          "[methods][running_moments]") {
  MergeInputs inputs = normed_models();
  CHECK(all_are(merge("linear", {{"weights", {3, 1}}}, inputs).at(kVariance), 1.5));
  inputs.experts.pop_back();
  CHECK(all_are(merge("wise_ft", {{"alpha", 0.5}}, inputs).at(kVariance), 4.5));
  CHECK(all_are(merge("wise_ft", {{"alpha", 0}}, inputs).at(kVariance), 8));
}
