#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

at::Tensor two_by_two(double a, double b, double c, double d) {
  return at::tensor({a, b, c, d}).reshape({2, 2});
}

/// The golden vectors of RegMean, "w" in [out, in].
FakeEvidence golden_evidence() {
  FakeEvidence evidence;
  evidence.add_linear("w", 2);
  evidence.statistics["input_gram"] = {{{"w", two_by_two(2, 1, 1, 3)}},
                                       {{"w", two_by_two(1, 0, 0, 2)}}};
  evidence.statistics["output_gradient_gram"] = {{{"w", two_by_two(1, .2, .2, .5)}},
                                                 {{"w", two_by_two(.3, 0, 0, 2)}}};
  return evidence;
}
std::vector<at::Tensor> golden_experts() {
  return {two_by_two(1, 2, 0, 1).to(at::kFloat), two_by_two(0, 1, 1, 1).to(at::kFloat)};
}

/// Merges the experts' only tensor, "w".
at::Tensor merge_with(const FakeEvidence& evidence, const std::string& ref, const Json& parameters,
                      const std::vector<at::Tensor>& experts, MergeReport* report = nullptr,
                      const at::Tensor& base = {}) {
  MergeInputs inputs = one_tensor_inputs(base, experts);
  inputs.evidence = &evidence;
  return merge(ref, parameters, inputs, report).at("w");
}

}  // namespace

TEST_CASE("G10: MaTS' conjugate gradients", "[methods][golden]") {
  const FakeEvidence evidence = golden_evidence();
  MergeReport report;
  const auto merged = [&](int64_t iterations) {
    return merge_with(evidence, "mats", {{"iterations", iterations}, {"rtol", 0}}, golden_experts(),
                      &report)
        .t();
  };

  CHECK(at::equal(merged(0), two_by_two(.5, .5, 1.5, 1).to(at::kFloat)));
  CHECK(distance(merged(1), two_by_two(.7, .4, 1.7, .9)) < 1e-6);
  CHECK(report.diagnostics.at("residual").get<double>() == Approx(.3162277660));
  CHECK(distance(merged(2), two_by_two(.7857142857, .3571428571, 1.6428571429, .9285714286)) <
        1e-6);
  CHECK(report.diagnostics.at("residual").get<double>() < 1e-14);
}

TEST_CASE("G10: MaTS by the factors of K-FAC", "[methods][golden]") {
  const FakeEvidence evidence = golden_evidence();
  const at::Tensor merged = merge_with(evidence, "mats@kfac", {{"rtol", 0}}, golden_experts()).t();
  CHECK(distance(merged, two_by_two(.8141225337, .7082035306, 1.8525441329, .958463136)) < 1e-6);

  // A layer without output gradients counts all outputs alike.
  FakeEvidence inputs_alone = evidence;
  for (StateDict& of_expert : inputs_alone.statistics["output_gradient_gram"]) of_expert.clear();
  CHECK(at::equal(merge_with(inputs_alone, "mats@kfac", Json::object(), golden_experts()),
                  merge_with(evidence, "mats", Json::object(), golden_experts())));
}

TEST_CASE("MaTS run to convergence is RegMean", "[methods]") {
  const std::vector<at::Tensor> experts{noise({300, 12}, 3), noise({300, 12}, 4)};
  const auto evidence_of = [](bool in_out) {
    FakeEvidence evidence;
    evidence.add_linear("w", 12, in_out);
    for (uint64_t i = 0; i < 2; ++i)
      evidence.statistics["input_gram"].push_back({{"w", gram_of(noise({60, 12}, 5 + i))}});
    return evidence;
  };
  const FakeEvidence evidence = evidence_of(false);
  const Json weights{1, 2};
  for (const double alpha : {1.0, .7}) {
    const at::Tensor regmean =
        merge_with(evidence, "regmean", {{"alpha", alpha}, {"weights", weights}}, experts);
    const Json parameters{{"alpha", alpha}, {"weights", weights}, {"rtol", 1e-12}};
    CHECK(distance(merge_with(evidence, "mats", parameters, experts), regmean) < 1e-6);
    const std::vector<at::Tensor> transposed{experts[0].t().contiguous(),
                                             experts[1].t().contiguous()};
    CHECK(distance(merge_with(evidence_of(true), "mats", parameters, transposed), regmean.t()) <
          1e-6);
  }
}

TEST_CASE("MaTS gives what SciPy's conjugate gradients give", "[methods][golden]") {
  // scripts/peers/mats_goldens.py made the numbers, from the same formula.
  const auto formula = [](int64_t rows, int64_t columns, int64_t a, int64_t b, int64_t offset,
                          int64_t modulus) {
    const int64_t half = modulus / 2;
    at::Tensor values = at::empty({rows, columns});
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        values[r][c] = static_cast<double>((a * r + b * c + offset) % modulus - half) / 4;
    return values;
  };
  FakeEvidence evidence;
  evidence.add_linear("w", 5);
  std::vector<at::Tensor> experts;
  for (int64_t i = 0; i < 2; ++i) {
    evidence.statistics["input_gram"].push_back({{"w", gram_of(formula(8, 5, 3, 5, 7 * i, 11))}});
    experts.push_back(formula(3, 5, 2, 3, 5 * i, 7));
  }
  MergeReport report;
  const at::Tensor three =
      merge_with(evidence, "mats", {{"rtol", 0}, {"iterations", 3}}, experts, &report);
  CHECK(distance(three, at::tensor({-0.2051317728, -0.3581485255, 0.2417789721, -0.5805585923,
                                    0.4199411151, -0.4816637341, 0.1881159434, 0.1748998292,
                                    0.0240882687, -0.0699603446, 0.0109000081, -0.0542884427,
                                    -0.1104408276, 0.494056404, -0.6984223374})
                            .reshape({3, 5})) < 1e-6);
  const at::Tensor stopped = merge_with(evidence, "mats", {{"rtol", .05}}, experts, &report);
  CHECK(report.diagnostics.at("steps") == 2);
  CHECK(distance(stopped, at::tensor({-0.2470586317, -0.3225483522, 0.3115648439, -0.5847479361,
                                      0.4071749471, -0.4863109119, 0.1898491096, 0.1751982203,
                                      0.0232850328, -0.072700856, 0.0580879345, -0.0747185263,
                                      -0.16434085, 0.5054308674, -0.6811954752})
                              .reshape({3, 5})) < 1e-6);
}

TEST_CASE("MaTS stops below its tolerances", "[methods]") {
  const std::vector<at::Tensor> experts{noise({30, 12}, 3), noise({30, 12}, 4)};
  FakeEvidence evidence;
  evidence.add_linear("w", 12);
  at::Tensor right = at::zeros({30, 12}, at::kDouble);
  for (uint64_t i = 0; i < 2; ++i) {
    const at::Tensor gram = gram_of(noise({60, 12}, 5 + i));
    evidence.statistics["input_gram"].push_back({{"w", gram}});
    right += experts[i].to(at::kDouble).mm(gram);
  }
  const auto report_of = [&](const Json& parameters) {
    MergeReport report;
    merge_with(evidence, "mats", parameters, experts, &report);
    return report.diagnostics;
  };
  const double norm = right.norm().item<double>();
  const Json loose = report_of({{"rtol", .01}}), strict = report_of({{"rtol", 1e-9}});
  CHECK(loose.at("residual").get<double>() < .01 * norm);
  CHECK(strict.at("residual").get<double>() < 1e-9 * norm);
  CHECK(loose.at("steps").get<double>() < strict.at("steps").get<double>());
  CHECK(report_of({{"atol", 1e6}}).at("steps") == 0);
  CHECK(report_of({{"rtol", 0}, {"iterations", 3}}).at("steps") == 3);
}

TEST_CASE("MaTS starts from any merge and keeps it where the data say nothing", "[methods]") {
  FakeEvidence evidence;
  evidence.add_linear("w", 3);
  at::Tensor first = noise({20, 3}, 1), second = noise({20, 3}, 2);
  first.select(1, 1).zero_();
  second.select(1, 1).zero_();
  evidence.statistics["input_gram"] = {{{"w", gram_of(first)}}, {{"w", gram_of(second)}}};
  const std::vector<at::Tensor> experts{noise({4, 3}, 3), noise({4, 3}, 4)};
  const at::Tensor base = noise({4, 3}, 5);
  const Json start{{"method", "task_arithmetic"}, {"scale", .25}};
  const at::Tensor merged =
      merge_with(evidence, "mats", {{"start", start}, {"rtol", 1e-12}}, experts, nullptr, base);
  const at::Tensor wanted = base + .25f * (experts[0] - base) + .25f * (experts[1] - base);
  CHECK(distance(merged.select(1, 1), wanted.select(1, 1)) < 1e-6);
  const at::Tensor regmean = merge_with(evidence, "regmean@exact", Json::object(), experts);
  CHECK(distance(merged.select(1, 0), regmean.select(1, 0)) < 1e-6);

  // git-theta's plug-in starts at the sum of the experts.
  CHECK(distance(merge_with(evidence, "mats@git_theta", {{"iterations", 0}}, experts),
                 experts[0] + experts[1]) < 1e-6);
  CHECK_THROWS_WITH(merge_with(evidence, "mats", {{"start", "emr"}}, experts, nullptr, base),
                    Contains("'start' is emr"));
}

TEST_CASE("MaTS matches vectors by their Fisher information", "[methods]") {
  FakeEvidence evidence;
  std::vector<at::Tensor> experts, fishers;
  for (uint64_t i = 0; i < 2; ++i) {
    experts.push_back(noise({5}, i));
    fishers.push_back(gram_of(noise({30, 5}, 10 + i)));
    evidence.statistics["vector_fisher"].push_back({{"w", fishers.back()}});
  }
  const at::Tensor right =
      fishers[0].mv(experts[0].to(at::kDouble)) + fishers[1].mv(experts[1].to(at::kDouble));
  const at::Tensor expected = at::linalg_solve(fishers[0] + fishers[1], right);
  CHECK(distance(merge_with(evidence, "mats@ia3", {{"rtol", 1e-12}}, experts), expected) < 1e-6);

  // What has no such matrix is left to the other method.
  for (StateDict& of_expert : evidence.statistics["vector_fisher"]) of_expert.clear();
  CHECK(distance(merge_with(evidence, "mats@ia3", Json::object(), experts),
                 (experts[0] + experts[1]) / 2) < 1e-6);
}

TEST_CASE("MaTS by diagonals is Fisher merging", "[methods]") {
  FakeEvidence evidence;
  std::vector<at::Tensor> experts;
  for (uint64_t i = 0; i < 3; ++i) {
    experts.push_back(noise({4, 5}, i));
    evidence.statistics["fisher"].push_back({{"w", noise({4, 5}, 10 + i).square() + .1f}});
  }
  const Json diagonal{{"objective", "diagonal"}, {"rtol", 1e-12}};
  CHECK(distance(merge_with(evidence, "mats", diagonal, experts),
                 merge_with(evidence, "fisher@mats", Json::object(), experts)) < 1e-6);

  evidence.statistics["fisher"][1] = {{"w", at::ones({3})}};
  CHECK_THROWS_WITH(merge_with(evidence, "mats", diagonal, experts),
                    Contains("expert 1") && Contains("3 elements") && Contains("expected 20"));
}

TEST_CASE("MaTS says what its objectives need", "[methods]") {
  const auto needs = [](const std::string& objective) {
    const Json parameters{{"objective", objective}};
    return make_method("mats", JsonReader(parameters, "test"))->needs();
  };
  CHECK_FALSE(needs("gram").gradients);
  for (const auto* objective : {"kfac", "block_fisher", "diagonal"}) {
    CHECK(needs(objective).gradients);
    CHECK(needs(objective).calibration_labels);
  }
}
