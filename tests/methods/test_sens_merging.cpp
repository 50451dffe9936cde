#include <cmath>

#include "harness/core/error.h"
#include "harness/method/configuration.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// All experts have the same examples; the scores are one number, the sum of the weights.
at::Tensor sum_logits(const StateDict& weights, size_t, int64_t, int64_t count) {
  at::Tensor sum = at::zeros({});
  for (const auto& [unused, tensor] : weights) sum = sum + tensor.to(at::kFloat).sum();
  return sum.expand({count, 1});
}

struct Merge {
  FakeEvidence evidence;
  MergeInputs inputs;

  Merge(const StateDict& base, const std::vector<StateDict>& experts,
        const std::vector<StateDict>& sensitivities) {
    evidence.of_network =
        std::make_shared<FakeNetwork>(std::vector<int64_t>(experts.size(), 20), sum_logits);
    evidence.statistics["layer_sensitivity"] = sensitivities;
    inputs.base = source("base", base);
    for (const StateDict& expert : experts) inputs.experts.push_back(source("expert", expert));
  }
  StateDict operator()(const Json& parameters, MergeReport* report = nullptr) {
    inputs.evidence = &evidence;
    return merge("sens_merging", parameters, inputs, report);
  }
};

at::Tensor one_number(double value) { return at::tensor({static_cast<float>(value)}); }

}  // namespace

TEST_CASE("Sens-Merging: three experts by hand", "[methods][golden]") {
  // Two layers, "a" and "b". The scores are 0, 1 and 4: distances 1, 4, and 3.
  Merge merge({{"a.w", one_number(0)}, {"b.w", one_number(0)}},
              {{{"a.w", one_number(-1)}, {"b.w", one_number(1)}},
               {{"a.w", one_number(0)}, {"b.w", one_number(1)}},
               {{"a.w", one_number(3)}, {"b.w", one_number(1)}}},
              {{{"a.w", at::tensor(3.0)}, {"b.w", at::tensor(4.0)}},
               {{"a.w", at::tensor(0.0)}, {"b.w", at::tensor(0.0)}},
               {{"a.w", at::tensor(1.0)}, {"b.w", at::tensor(0.0)}}});
  // Shares of layer "a": .6, 1/2 where all are 0, 1. Of "b": .8, 1/2, 0.
  const auto expected = [](const std::vector<double>& taus, const std::vector<double>& shares,
                           const std::vector<double>& deltas, double temperature) {
    double sum = 0, merged = 0;
    for (size_t i = 0; i < 3; ++i) {
      const double e = std::exp(taus[i] * shares[i] / temperature);
      sum += e;
      merged += 3 * e * deltas[i];
    }
    return merged / sum;
  };
  const std::vector<double> a{.6, .5, 1}, b{.8, .5, 0};

  const std::vector<double> distance{5.0 / 16, 4.0 / 16, 7.0 / 16};
  const Json plain{{"method", "task_arithmetic"}, {"scale", 1}};
  StateDict merged = merge(applied_to(plain));
  CHECK(merged.at("a.w").item<double>() == Approx(expected(distance, a, {-1, 0, 3}, 1)));
  CHECK(merged.at("b.w").item<double>() == Approx(expected(distance, b, {1, 1, 1}, 1)));

  const double sum = 1.0 / 5 + 1.0 / 4 + 1.0 / 7;
  const std::vector<double> inverse{1.0 / 5 / sum, 1.0 / 4 / sum, 1.0 / 7 / sum};
  MergeReport report;
  merged = merge(applied_to(plain, {{"tau", "inverse_distance"}, {"temperature", .1}}), &report);
  CHECK(merged.at("a.w").item<double>() == Approx(expected(inverse, a, {-1, 0, 3}, .1)));
  CHECK(report.diagnostics.at("factor_min") < 1);
  CHECK(report.diagnostics.at("factor_max") > 1);
}

TEST_CASE("Sens-Merging groups tensors by block, and others by module", "[methods]") {
  const StateDict base{{"h.0.w", one_number(0)},
                       {"h.0.v", one_number(0)},
                       {"n.w", one_number(0)},
                       {"n.b", one_number(0)}};
  StateDict one = base, two = base;
  for (auto& [unused, tensor] : one) tensor = one_number(1);
  const auto sensitivity = [](double w) {
    return StateDict{{"h.0.w", at::tensor(w)},
                     {"h.0.v", at::tensor(1.0)},
                     {"n.w", at::tensor(1.0)},
                     {"n.b", at::tensor(1.0)}};
  };
  Merge merge(base, {one, two}, {sensitivity(5), sensitivity(1)});
  merge.evidence.blocks = {{"h.0.w", 0}, {"h.0.v", 0}};

  const StateDict merged = merge(applied_to({{"method", "task_arithmetic"}, {"scale", 1}}));
  CHECK(at::equal(merged.at("h.0.w"), merged.at("h.0.v")));
  CHECK(at::equal(merged.at("n.w"), merged.at("n.b")));
  CHECK(merged.at("h.0.w").item<double>() > merged.at("n.w").item<double>());
}

TEST_CASE("Sens-Merging changes nothing where experts are equally sensitive", "[methods]") {
  const auto model = [](uint64_t key) {
    return StateDict{{"a.w", noise({40, 30}, key)}, {"b.w", noise({700}, 10 + key)}};
  };
  const StateDict same{{"a.w", at::tensor(2.0)}, {"b.w", at::tensor(1.0)}};
  Merge merge(model(1), {model(2), model(3)}, {same, same});

  for (const Json& inner : {Json{{"method", "task_arithmetic"}}, Json{{"method", "ties"}},
                            Json{{"method", "ties"}, {"trim.rule", "exact_count"}}}) {
    CAPTURE(inner.dump());
    Json parameters = inner;
    parameters.erase("method");
    CHECK(same_bytes(merge(applied_to(inner)),
                     testing::merge(inner["method"], parameters, merge.inputs)));
  }
}

TEST_CASE("Sens-Merging works on TIES, DARE and whole models", "[methods]") {
  // Copies of one expert: factors have the mean 1, whatever the sensitivities.
  const StateDict base{{"a.w", noise({40, 30}, 1)}, {"b.w", noise({70}, 2)}};
  const StateDict expert{{"a.w", noise({40, 30}, 3)}, {"b.w", noise({70}, 4)}};
  const StateDict little{{"a.w", at::tensor(1.0)}, {"b.w", at::tensor(1.0)}};
  const StateDict much{{"a.w", at::tensor(9.0)}, {"b.w", at::tensor(1.0)}};
  Merge merge(base, {expert, expert}, {little, much});
  MergeReport report;
  const auto inner = GENERATE(Json{{"method", "ties"}, {"density", 1}, {"elect.tie", "zero"}},
                              Json{{"method", "dare"}, {"drop", 0}, {"scale", .5}},
                              Json{{"method", "adamerging"}, {"steps", 0}, {"init", .5}});
  CAPTURE(inner.dump());

  const StateDict merged = merge(applied_to(inner), &report);
  for (const auto& [name, tensor] : merged)
    CHECK(testing::distance(tensor, expert.at(name)) < 1e-6);
}

TEST_CASE("DARE drops the same entries inside Sens-Merging as alone", "[methods]") {
  const StateDict base{{"w", at::zeros({100})}}, expert{{"w", at::ones({100})}};
  const StateDict sensitivity{{"w", at::tensor(1.0)}};
  const Json dare{{"method", "dare"}, {"drop", .5}};
  Merge inside(base, {expert, expert}, {sensitivity, sensitivity});

  const StateDict merged = inside(applied_to(dare));
  const StateDict alone = testing::merge("dare", {{"drop", .5}}, inside.inputs);
  CHECK(testing::distance(merged.at("w"), alone.at("w")) < 1e-6);
}

TEST_CASE("Sens-Merging asks for what the other method asks for, too", "[methods]") {
  const auto method = make_method(
      "sens_merging", JsonReader(Json{{"of", {{"method", "ties"}, {"density", .3}}}}, "test"));
  REQUIRE(method->statistics().size() == 1);
  CHECK(method->statistics()[0].name == "layer_sensitivity");
  CHECK(method->needs().base);
  CHECK(method->needs().calibration_labels);
  CHECK(method->granularity() == Granularity::kParts);

  CHECK_THROWS_WITH(make_method("sens_merging", JsonReader(Json{{"of", "average"}}, "test")),
                    Contains("average") && Contains("needs a base"));
  CHECK_THROWS_WITH(
      MethodConfiguration::read("sens_merging", JsonReader(Json{{"of", "emr"}}, "test")),
      Contains("emr") && Contains("a model per task"));
}
