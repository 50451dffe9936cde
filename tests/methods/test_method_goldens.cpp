// What PyTorch gives by the papers' formulas: scripts/peers/method_goldens.py.
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("methods on one layer give what PyTorch gives by their formulas", "[methods][golden]") {
  const Json golden = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/methods.json");
  const auto read = [](const Json& values, at::IntArrayRef shape) {
    return at::tensor(values.get<std::vector<double>>(), at::kDouble).reshape(shape);
  };
  FakeEvidence evidence;
  evidence.add_linear("w", 5);
  std::vector<at::Tensor> experts;
  for (size_t i = 0; i < 3; ++i) {
    experts.push_back(read(golden["experts"][i], {7, 5}).to(at::kFloat));
    evidence.statistics["input_gram"].push_back({{"w", read(golden["grams"][i], {5, 5})}});
  }
  MergeInputs inputs = one_tensor_inputs(read(golden["base"], {7, 5}).to(at::kFloat), experts);
  inputs.evidence = &evidence;
  const Json sum{{"method", "task_arithmetic"}, {"scale", 1}};
  const std::map<std::string, Json> parameters{
      {"pave", {{"keep", .6}, {"of", sum}}},
      {"cat_merging", {{"lambda", .5}, {"trimmed", 2}, {"scale", 1}}},
      {"ortho_merge", {{"of", sum}}},
      {"ortho_merge@conflicts", {{"of", sum}}},
      {"subspace_boosting", {{"of", sum}, {"beta", .5}}},
      {"magic", Json::object()}};

  REQUIRE(golden["merged"].size() == parameters.size());
  for (const auto& [ref, given] : parameters) {
    INFO(ref);
    CHECK(distance(merge(ref, given, inputs).at("w"), read(golden["merged"][ref], {7, 5})) < 2e-6);
  }
}
