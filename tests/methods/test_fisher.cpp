#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

FakeEvidence fishers(const std::vector<at::Tensor>& of_experts) {
  FakeEvidence evidence;
  for (const at::Tensor& fisher : of_experts)
    evidence.statistics["fisher"].push_back({{"w", fisher}});
  return evidence;
}

at::Tensor merge_fisher(const FakeEvidence& evidence, const Json& parameters,
                        const std::vector<at::Tensor>& experts) {
  MergeInputs inputs = one_tensor_inputs({}, experts);
  inputs.evidence = &evidence;
  return merge("fisher", parameters, inputs).at("w");
}

const std::vector<at::Tensor>& fisher_experts() {
  static const std::vector<at::Tensor> experts{at::tensor({1.0f, 2.0f, 3.0f, 4.0f}),
                                               at::tensor({3.0f, 6.0f, 7.0f, 0.0f})};
  return experts;
}
FakeEvidence golden_fishers() {
  return fishers({at::tensor({4.0f, 0.0f, 1.0f, 1e-3f}), at::tensor({1.0f, 0.0f, 3.0f, 0.0f})});
}

}  // namespace

TEST_CASE("G9: Fisher merging", "[methods][golden][pitfall-5]") {
  const FakeEvidence evidence = golden_fishers();
  const auto merged = [&](const Json& parameters) {
    return merge_fisher(evidence, parameters, fisher_experts());
  };

  CHECK(distance(merged({{"normalize", false}}), at::tensor({1.4, 4.0, 6.0, 3.996003996})) < 1e-6);
  CHECK(distance(merged({{"normalize", false}, {"floor.rule", "add"}}),
                 at::tensor({1.40000024, 4.0, 5.9999995, 3.996007984})) < 1e-6);
  CHECK(distance(merged(Json::object()),
                 at::tensor({1.4916590213, 4.0, 6.1855884266, 3.9835752978})) < 1e-6);
}

TEST_CASE("Fisher merging normalizes over the whole model", "[methods]") {
  // Norms 5 and 1: "b" alone would have the same norm in both.
  FakeEvidence evidence;
  evidence.statistics["fisher"] = {{{"a", at::tensor({4.0f})}, {"b", at::tensor({3.0f})}},
                                   {{"a", at::tensor({0.0f})}, {"b", at::tensor({1.0f})}}};
  MergeInputs inputs;
  inputs.evidence = &evidence;
  inputs.experts = {source("one", {{"a", at::tensor({1.0f})}, {"b", at::tensor({1.0f})}}),
                    source("two", {{"a", at::tensor({2.0f})}, {"b", at::tensor({2.0f})}})};

  const StateDict merged = merge("fisher", Json::object(), inputs);
  CHECK(merged.at("b").item<double>() == Approx((.6 * 1 + 1 * 2) / 1.6));
  const StateDict plain = merge("fisher", {{"normalize", false}}, inputs);
  CHECK(plain.at("b").item<double>() == Approx((3 * 1 + 1 * 2) / 4.0));
  const StateDict weighted = merge("fisher", {{"weights", {1, 3}}, {"normalize", false}}, inputs);
  CHECK(weighted.at("b").item<double>() == Approx((3 * 1 + 3 * 2) / 6.0));
}

TEST_CASE("Fisher merging normalizes over each tensor", "[methods]") {
  // "b" has norm 3 and 1: after normalizing 1 and 1, whatever "a" has.
  FakeEvidence evidence;
  evidence.statistics["fisher"] = {{{"a", at::tensor({4.0f})}, {"b", at::tensor({3.0f})}},
                                   {{"a", at::tensor({0.0f})}, {"b", at::tensor({1.0f})}}};
  MergeInputs inputs;
  inputs.evidence = &evidence;
  inputs.experts = {source("one", {{"a", at::tensor({1.0f})}, {"b", at::tensor({1.0f})}}),
                    source("two", {{"a", at::tensor({2.0f})}, {"b", at::tensor({2.0f})}})};

  const StateDict merged = merge("fisher", {{"normalize.over", "tensor"}}, inputs);
  CHECK(merged.at("b").item<double>() == Approx(1.5));
  CHECK(merged.at("a").item<double>() == Approx((1 + 2e-6) / (1 + 1e-6)));
}

TEST_CASE("Fisher merging's floors", "[methods]") {
  // Norms 5 and 1, values 1 and 3; the second element has no Fisher information at all.
  const FakeEvidence evidence =
      fishers({at::tensor({4.0f, 0.0f, 3.0f}), at::tensor({1.0f, 0.0f, 0.0f})});
  const std::vector<at::Tensor> experts{at::full({3}, 1.0f), at::full({3}, 3.0f)};
  const auto merged = [&](const Json& parameters) {
    return merge_fisher(evidence, parameters, experts);
  };
  const auto pair = [](double first, double second) {
    return (first + 3 * second) / (first + second);
  };
  const double floor = .1;

  CHECK(distance(merged({{"floor.rule", "target"}, {"floor", floor}}),
                 at::tensor({pair(.8, 1), 1., 1.})) < 1e-6);
  CHECK(distance(merged({{"floor.rule", "one"}}), at::tensor({pair(.8, 1), 0., 1.})) < 1e-6);
  CHECK(distance(merged({{"floor.when", "before"}, {"floor", floor}}),
                 at::tensor({pair(.8, 1), pair(.02, .1), pair(.6, .1)})) < 1e-6);
  const Json before{{"floor.rule", "add"}, {"floor.when", "before"}, {"floor", floor}};
  CHECK(distance(merged(before), at::tensor({pair(4.1 / 5.1, 1.1 / 1.1), pair(.1 / 5.1, .1 / 1.1),
                                             pair(3.1 / 5.1, .1 / 1.1)})) < 1e-6);
  CHECK_THROWS_WITH(merged({{"floor.rule", "target"}, {"weights", {0, 1}}}),
                    Contains("'floor.rule' is target") && Contains("above 0"));
}

TEST_CASE("Fisher merging takes the mean of what no gradient reaches", "[methods][pitfall-5]") {
  FakeEvidence evidence;
  evidence.statistics["fisher"] = {StateDict{}, StateDict{}};

  CHECK(distance(merge_fisher(evidence, Json::object(), fisher_experts()),
                 at::tensor({2.0f, 4.0f, 5.0f, 2.0f})) < 1e-6);
  CHECK_THROWS_WITH(
      merge_fisher(fishers({at::ones({4}), at::ones({3})}), Json::object(), fisher_experts()),
      Contains("expert 1") && Contains("3 elements") && Contains("expected 4"));
}

TEST_CASE("Fisher merging reads statistics by parts", "[methods]") {
  const int64_t size = kPartElements + 1000;
  const std::vector<at::Tensor> experts{noise({size}, 1), noise({size}, 2)};
  const std::vector<at::Tensor> of_experts{noise({size}, 3).abs() + 1, noise({size}, 4).abs() + 1};

  CHECK(distance(merge_fisher(fishers(of_experts), {{"normalize", false}}, experts),
                 (of_experts[0] * experts[0] + of_experts[1] * experts[1]) /
                     (of_experts[0] + of_experts[1])) < 1e-6);
}

TEST_CASE("Fisher merging hands its estimator on", "[methods]") {
  const auto method = [](const Json& parameters) {
    return make_method("fisher", JsonReader(parameters, "test"));
  };
  const auto sampled = method({{"estimator", "sampled"}});
  REQUIRE(sampled->statistics().size() == 1);
  CHECK(sampled->statistics()[0].name == "fisher");
  CHECK(sampled->statistics()[0].parameters == Json{{"estimator", "sampled"}});

  CHECK_FALSE(sampled->needs().calibration_labels);
  CHECK(method({{"estimator", "empirical"}})->needs().calibration_labels);
}
