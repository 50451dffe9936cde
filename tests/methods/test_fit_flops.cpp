// What fits of layers to data count, statistics aside: the cost model's formulas, N experts of a
// layer of n inputs and m outputs.
#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kFitInputs = 320, kFitOutputs = 480;
constexpr double kM = kFitOutputs, kN = kFitInputs, kFitElements = kM * kN;

double counted(const std::string& ref, const Json& parameters, uint64_t experts) {
  FakeEvidence evidence;
  evidence.add_linear("w", kFitInputs);
  std::vector<at::Tensor> models;
  for (uint64_t i = 0; i < experts; ++i) {
    const at::Tensor x = noise({2 * kFitInputs, kFitInputs}, 10 + i);
    const at::Tensor gram = x.t().mm(x) / (2 * kFitInputs);
    evidence.statistics["input_gram"].push_back({{"w", gram}});
    evidence.statistics["activation_moments"].push_back(
        {{"w", noise({4, kFitInputs}, 30 + i).abs()}});
    models.push_back(noise({kFitOutputs, kFitInputs}, 20 + i));
  }
  MergeInputs inputs = one_tensor_inputs(noise({kFitOutputs, kFitInputs}, 1), models);
  inputs.evidence = &evidence;
  const int64_t before = counters::flops;
  merge(ref, parameters, inputs);
  return static_cast<double>(counters::flops - before);
}

}  // namespace

TEST_CASE("fits of layers count what their formulas say", "[methods][cost]") {
  const uint64_t experts = GENERATE(2, 4);
  const auto n = static_cast<double>(experts);
  CAPTURE(experts);
  // The cost model's right sides and solution, but for one expert's product, which is saved.
  CHECK(counted("regmean", Json::object(), experts) ==
        Approx(2 * n * kM * kN * kN + kN * kN * kN / 3).epsilon(.05));
  CHECK(counted("lot", Json::object(), experts) ==
        Approx(2 * (n + 1) * kM * kN * kN + 11 * kN * kN * kN).epsilon(.05));
  CHECK(counted("pave", Json::object(), experts) ==
        Approx(n * (10 * kM * kN * kN + 9 * kN * kN * kN)).epsilon(.05));
  CHECK(counted("cat_merging", Json::object(), experts) ==
        Approx(n * (2 * kM * kN * kN + 2 * kM * kM * kN + 9 * kM * kM * kM)).epsilon(.05));
}

TEST_CASE("MaTS counts its right sides and a product per iteration", "[methods][cost]") {
  const auto flops = [](int iterations) {
    return counted("mats", {{"iterations", iterations}, {"rtol", 0}}, 3);
  };
  const double first = flops(1), more = flops(11);
  CHECK((more - first) / 10 == Approx(2 * kM * kN * kN + 10 * kFitElements).epsilon(.05));
  CHECK(2 * first - flops(2) == Approx(2 * (3 + 1) * kM * kN * kN).epsilon(.05));
}

TEST_CASE("modifiers count their own work beside the other method's", "[methods][cost]") {
  const double plain = counted("task_arithmetic", Json::object(), 3);
  CHECK(counted("aim", {{"omega", .5}}, 3) - plain == Approx(3 * kFitElements).epsilon(.05));
}
