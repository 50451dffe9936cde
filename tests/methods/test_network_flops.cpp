// What methods on units and on experts of a mixture count, by the formulas that they state.
#include <cmath>
#include <string>
#include <vector>

#include "harness/core/cost.h"
#include "harness/model/forward.h"
#include "methods/moe/sparse_low_rank.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"
#include "tests/methods/mixtures.h"
#include "tests/methods/permuted_networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kReads = 64, kUnits = 48, kScores = 16;

Networks perceptrons(uint64_t count) {
  const Json config{
      {"model_type", "mlp"}, {"inputs", kReads}, {"hidden", kUnits}, {"classes", kScores}};
  const auto architecture = make_architecture(JsonReader(config, "test"));
  std::vector<StateDict> weights;
  for (uint64_t i = 0; i < count; ++i) weights.push_back(architecture->initial_weights(i + 1));
  return networks_of(config, weights);
}

/// Of a merge, and of all examples through one of the networks.
struct Counted {
  double merge = 0, network = 0;
  Json diagnostics;
};

Counted counted_on(const Networks& networks, const std::string& ref, const Json& parameters) {
  const NetworkEvidence evidence(networks);
  MergeInputs inputs;
  inputs.config = networks.architecture->config();
  inputs.experts = networks.experts;
  inputs.evidence = &evidence.get();
  Counted result;
  MergeReport report;
  int64_t before = counters::flops;
  merge(ref, parameters, inputs, &report);
  result.merge = static_cast<double>(counters::flops - before);
  result.diagnostics = report.diagnostics;
  StateDict weights;
  for (const TensorInfo& info : networks.experts.front()->tensors())
    weights[info.name] = networks.experts.front()->read(info.name);
  before = counters::flops;
  for (const auto& data : networks.data)
    row_logits(*networks.architecture, weights, data->batch(0, kExamples));
  result.network = static_cast<double>(counters::flops - before);
  return result;
}

// The units are rows of the hidden layer's weight and bias and columns of the head's weight.
constexpr double kWithUnits = kUnits * (kReads + 1 + kScores);
constexpr double kValues = kWithUnits + kScores;

constexpr int64_t kHidden = 32, kExpertUnits = 64, kExperts = 6, kLayers = 2;
constexpr double kMatrix = kHidden * kExpertUnits;

Json wide_mixtral() {
  Json config = small_mixtral_config();
  config["hidden_size"] = kHidden;
  config["intermediate_size"] = kExpertUnits;
  return config;
}

double counted_on_mixture(const std::string& ref, const Json& parameters,
                          const Evidence& evidence) {
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = wide_mixtral();
  inputs.experts = {source("mixture", small_model(1, wide_mixtral()))};
  inputs.evidence = &evidence;
  const int64_t before = counters::flops;
  merge(ref, parameters, inputs);
  return static_cast<double>(counters::flops - before);
}

/// Usages, and logits by which experts are alike in pairs.
FakeEvidence routed_in_pairs() {
  FakeEvidence evidence;
  StateDict& routing = evidence.statistics["routing"].emplace_back();
  at::Tensor logits = at::eye(kExperts, at::kDouble);
  for (int64_t i = 0; i < kExperts; i += 2) logits[i][i + 1] = logits[i + 1][i] = 0.9;
  at::Tensor scalars = at::ones({kExperts, 4}, at::kDouble);
  scalars.select(1, 0).copy_(at::tensor({4., 1., 2., .5, 3., .25}, at::kDouble));
  for (int64_t i = 0; i < kLayers; ++i)
    routing[fmt::format("model.layers.{}.block_sparse_moe.gate.weight", i)] =
        at::cat({scalars, logits, noise({kExperts, kHidden}, 5).to(at::kDouble)}, 1);
  return evidence;
}

}  // namespace

TEST_CASE("Git Re-Basin counts its products of weights", "[methods][cost]") {
  const Counted two = counted_on(perceptrons(2), "git_rebasin", Json::object());
  CHECK(two.diagnostics.at("sweeps") == 2);  // nothing is left to compute in the second
  CHECK(two.merge ==
        Approx(2 * kUnits * kWithUnits + 3 * std::pow(kUnits, 2) + 2 * kValues).epsilon(.05));
}

TEST_CASE("methods that match activations count passes and products", "[methods][cost]") {
  const auto n = GENERATE(2, 3);
  CAPTURE(n);
  const Networks networks = perceptrons(static_cast<uint64_t>(n));
  constexpr double kPlaces = 2;  // what the hidden layer gives, and what the head reads
  const double rows = 1.0 * n * kExamples;

  const Counted zip = counted_on(networks, "zipit", {{"batch", kExamples}});
  CHECK(zip.merge == Approx(n * zip.network + kPlaces * 2 * rows * std::pow(n * kUnits, 2) +
                            2.0 * n * kUnits * kWithUnits)
                         .epsilon(.05));

  const Counted both = counted_on(networks, "zipit", {{"batch", kExamples}, {"by", "both"}});
  const double sweeps = both.diagnostics.at("sweeps").get<double>();
  CHECK(both.merge - zip.merge ==
        Approx(sweeps * n * (2.0 * n * kUnits + 6) * kWithUnits).epsilon(.08));

  const Counted pleas = counted_on(networks, "pleas", {{"batch", kExamples}});
  double fits = 0;
  for (const auto& [inputs, outputs] :
       {std::pair<double, double>{kReads + 1, kUnits}, {kUnits + 1, kScores}})
    fits += 2 * rows * ((n + 1) * outputs * inputs + inputs * inputs) +
            8 * outputs * inputs * inputs + inputs * inputs * inputs / 3;
  CHECK(pleas.merge ==
        Approx((3 * n - 2) * pleas.network + kPlaces * 2 * (n - 1) * rows * kUnits * kUnits + fits)
            .epsilon(.05));

  const Counted repair = counted_on(networks, "repair", {{"batch", 8}});
  CHECK(repair.merge == Approx((n + 1) * repair.network + n * kValues).epsilon(.05));
}

TEST_CASE("merging experts counts the matching and the means", "[methods][moe][cost]") {
  const double expected =
      kLayers * (6 * (kExperts - 1) * kExpertUnits * kMatrix + 6 * kExperts * kMatrix);
  CHECK(counted_on_mixture("merge_experts", {{"allocation", "uniform"}}, routed_in_pairs()) ==
        Approx(expected).epsilon(.05));
  CHECK(counted_on_mixture("prune_experts", Json::object(), routed_in_pairs()) < .02 * expected);
}

TEST_CASE("compressing experts counts its factors in every step", "[methods][moe][cost]") {
  constexpr const char* kFirst = "model.layers.0.block_sparse_moe.experts.0.w1.weight";
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{16},
      [](const StateDict& weights, size_t, int64_t first, int64_t count) {
        return at::linear(noise({16, kHidden}, 5).narrow(0, first, count), weights.at(kFirst));
      },
      [](size_t, int64_t first, int64_t count) {
        return at::arange(first, first + count).remainder(3);
      });
  const auto flops = [&](int steps) {
    return counted_on_mixture("compress_experts", {{"steps", steps}, {"batch", 1}}, evidence);
  };
  const auto rank = static_cast<double>(rank_of(kExpertUnits, kHidden, 5.0 / 96));
  constexpr double kMatrices = 3 * kExperts * kLayers;
  CHECK((flops(11) - flops(1)) / 10 == Approx(kMatrices * (6 * rank + 8) * kMatrix).epsilon(.05));
}

TEST_CASE("FR-Merging counts its Fourier transforms", "[methods][cost]") {
  const auto flops = [&](const std::string& ref) {
    const int64_t before = counters::flops;
    merge(ref, Json::object(),
          one_tensor_inputs(noise({512, 256}, 1), {noise({512, 256}, 2), noise({512, 256}, 3)}));
    return static_cast<double>(counters::flops - before);
  };
  constexpr double kD = 512 * 256, kLog = 17;
  const double own = flops("fr_merging") - flops("task_arithmetic");
  CHECK(own == Approx(2 * (10 * kLog + 7) * kD).epsilon(.05));
}

TEST_CASE("a mixture counts what its shared method does", "[methods][moe][cost]") {
  const MergeInputs inputs = small_models(3);
  double shared = 0;
  for (const TensorInfo& info : inputs.base->tensors())
    if (info.name.find(".mlp.") == std::string::npos) shared += static_cast<double>(info.numel());
  const int64_t before = counters::flops;
  merge("moe", Json::object(), inputs);
  CHECK(static_cast<double>(counters::flops - before) == Approx(3 * shared).epsilon(.05));
}
