#include "harness/core/error.h"
#include "harness/method/configuration.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const Json kTaskSum{{"method", "task_arithmetic"}, {"scale", 1}};

/// Three experts of two tensors.
MergeInputs models() {
  const auto model = [](uint64_t key) {
    return source("model", {{"a.w", noise({40, 30}, key)}, {"b.w", noise({700}, 10 + key)}});
  };
  MergeInputs inputs;
  inputs.base = model(1);
  inputs.experts = {model(2), model(3), model(4)};
  inputs.seed = 5;
  return inputs;
}

}  // namespace

TEST_CASE("LiNeS scales by block what a merge changed", "[methods][golden]") {
  StateDict base, one, two;
  FakeEvidence evidence;
  for (int64_t block = 0; block < 3; ++block) {
    const std::string name = fmt::format("h.{}.w", block);
    base[name] = at::tensor({1.0f});
    one[name] = at::tensor({3.0f});
    two[name] = at::tensor({2.0f});
    evidence.blocks[name] = block;
  }
  base["e.w"] = at::tensor({1.0f});
  one["e.w"] = at::tensor({3.0f});
  two["e.w"] = at::tensor({2.0f});
  MergeInputs inputs;
  inputs.base = source("base", base);
  inputs.experts = {source("one", one), source("two", two)};
  inputs.evidence = &evidence;

  // The sum changes each entry by 3. Factors: .5, .5 + 1/2, .5 + 1; .5 outside of blocks.
  const StateDict merged =
      merge("lines", applied_to(kTaskSum, {{"alpha", .5}, {"beta", 1}}), inputs);
  CHECK(merged.at("e.w").item<float>() == 2.5f);
  CHECK(merged.at("h.0.w").item<float>() == 2.5f);
  CHECK(merged.at("h.1.w").item<float>() == 4.0f);
  CHECK(merged.at("h.2.w").item<float>() == 5.5f);
  const StateDict mean = merge("lines@sum", {{"beta", 1}}, inputs);
  CHECK(mean.at("h.2.w").item<float>() == 5.5f);  // 1 / 2 + 1
}

TEST_CASE("LiNeS goes by layers where there are no blocks", "[methods]") {
  FakeEvidence evidence;
  evidence.add_linear("one.weight", 1);
  evidence.add_linear("two.weight", 1);
  evidence.layers.at("two.weight").depth = 1;
  const auto model = [](float value) {
    StateDict tensors;
    for (const char* name : {"one.weight", "one.bias", "two.weight", "two.bias"})
      tensors[name] = at::tensor({value});
    return source("model", tensors);
  };
  MergeInputs inputs;
  inputs.base = model(0);
  inputs.experts = {model(1)};
  inputs.evidence = &evidence;

  const StateDict merged =
      merge("lines", applied_to(kTaskSum, {{"alpha", 1}, {"beta", 2}}), inputs);
  for (const char* name : {"one.weight", "one.bias"}) CHECK(merged.at(name).item<float>() == 1.0f);
  for (const char* name : {"two.weight", "two.bias"}) CHECK(merged.at(name).item<float>() == 3.0f);
}

TEST_CASE("LiNeS with alpha 1 and beta 0 changes nothing", "[methods]") {
  FakeEvidence evidence;
  MergeInputs inputs = models();
  inputs.evidence = &evidence;
  CHECK(same_bytes(merge("lines", applied_to("ties", {{"beta", 0}}), inputs),
                   merge("ties", Json::object(), inputs)));
}

TEST_CASE("trim, elect and sum are TIES with the sum of those that agree", "[methods]") {
  const MergeInputs inputs = models();
  const Json ties{{"density", .3}, {"elect.tie", "zero"}, {"reduce", "sum_agree"}};
  const Json steps =
      applied_to(applied_to(kTaskSum, {{"method", "elect_sign"}}), {{"density", .3}});
  CHECK(model_distance(merge("trim", steps, inputs), merge("ties", ties, inputs)) < 1e-6);
}

TEST_CASE("drop and task arithmetic are DARE", "[methods]") {
  const MergeInputs inputs = models();
  const Json dare{{"drop", .5}, {"scale", 1}};
  const StateDict merged = merge("drop", applied_to(kTaskSum, {{"drop", .5}}), inputs);
  // The draws have the same keys, so that the same entries are dropped.
  CHECK(model_distance(merged, merge("dare", dare, inputs)) < 1e-5);
  CHECK(model_distance(merged, merge("task_arithmetic", {{"scale", 1}}, inputs)) > .1);
}

TEST_CASE("signs are elected by mass or by count", "[methods][golden]") {
  const MergeInputs inputs = one_tensor_inputs(
      at::zeros({3}), {at::tensor({3.0f, 1.0f, 1.0f}), at::tensor({-1.0f, 1.0f, -1.0f}),
                       at::tensor({-1.0f, 0.0f, 0.0f})});
  CHECK(at::equal(merge("elect_sign", applied_to(kTaskSum), inputs).at("w"),
                  at::tensor({3.0f, 2.0f, 0.0f})));
  CHECK(at::equal(merge("elect_sign", applied_to(kTaskSum, {{"by", "count"}}), inputs).at("w"),
                  at::tensor({-2.0f, 2.0f, 0.0f})));
}

TEST_CASE("weights by norms: MetaGPT and NAN", "[methods][golden]") {
  // Norms 5 and 10.
  const MergeInputs inputs =
      one_tensor_inputs(at::zeros({2}), {at::tensor({3.0f, 4.0f}), at::tensor({10.0f, 0.0f})});
  // Weights 25/125 and 100/125.
  CHECK(testing::distance(merge("norm_weights@metagpt", Json::object(), inputs).at("w"),
                          at::tensor({8.6f, .8f})) < 1e-6);
  // Weights 2/3 and 1/3.
  CHECK(testing::distance(merge("norm_weights@nan", Json::object(), inputs).at("w"),
                          at::tensor({16 / 3.0f, 8 / 3.0f})) < 1e-6);
}

TEST_CASE("an expert that is the base gets no weight by norm", "[methods]") {
  const MergeInputs inputs =
      one_tensor_inputs(at::zeros({2}), {at::zeros({2}), at::tensor({3.0f, 4.0f})});
  for (const char* preset : {"norm_weights@metagpt", "norm_weights@nan"})
    CHECK(testing::distance(merge(preset, Json::object(), inputs).at("w"),
                            at::tensor({3.0f, 4.0f})) < 1e-6);
}

TEST_CASE("modifiers work on methods of every granularity", "[methods]") {
  // Entries that agree in sign are left alone, so that nothing changes.
  const auto model = [](float shift) {
    return source("model", {{"a.w", noise({40, 30}, 1) + shift}, {"b.w", noise({70}, 2) + shift}});
  };
  MergeInputs inputs;
  inputs.base = model(0);
  inputs.experts = {model(1), model(2)};
  const auto method = GENERATE(as<std::string>(), "task_arithmetic", "ties", "iso_c", "opcm");
  CAPTURE(method);
  REQUIRE(methods().at(method, "test").info.needs.base);
  CHECK(model_distance(merge("elect_sign", applied_to(method), inputs),
                       merge(method, Json::object(), inputs)) < 1e-5);
}

TEST_CASE("a modifier checks the parameters of what it modifies", "[methods]") {
  CHECK_THROWS_WITH(make_method("trim", JsonReader(applied_to("average"), "test")),
                    Contains("average") && Contains("needs a base"));
  CHECK_THROWS_WITH(
      make_method("trim", JsonReader(applied_to({{"method", "ties"}, {"densty", 1}}), "test")),
      Contains("density"));
  const auto method = make_method(
      "drop", JsonReader(applied_to(applied_to("ties", {{"method", "lines"}})), "test"));
  CHECK(method->randomized());
  CHECK(method->needs().architecture);
}
