#include "harness/calibration/evidence.h"
#include "harness/calibration/job.h"
#include "harness/merge/merge.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"
#include "tests/model/counting_network.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Two perceptrons with tasks of their own, and evidence of them.
class TwoExperts {
 public:
  TwoExperts() {
    for (const uint64_t seed : {1, 2}) {
      const at::Tensor inputs = noise({60, 4}, seed) * (seed == 1 ? 1.0 : 3.0);
      weights.push_back(mlp->initial_weights(seed));
      sources.push_back(source(fmt::format("expert {}", seed), weights.back()));
      data.push_back(std::make_shared<const CalibrationData>(
          CalibrationData({mlp, nullptr}, {toy_task("toy/a", inputs, at::zeros({60}, at::kLong))},
                          CalibrationSpec{})));
    }
  }

  std::shared_ptr<const StatisticFile> file(const StatisticRef& statistic, size_t expert) const {
    const auto made = make_statistic(statistic.name, JsonReader(statistic.parameters, "a test"));
    StatisticJob job;
    job.statistic = statistic.name;
    job.parameters = statistic.parameters;
    const auto path = folder_.path() / fmt::format("{}.safetensors", expert);
    StatisticFile::write(path, job, data[expert]->size(),
                         compute_statistic(*made, *mlp, weights[expert], *data[expert], 0), {});
    return StatisticFile::open(path);
  }

  EvidenceSources with_data() const {
    return {.architecture = mlp,
            .reference = sources.front(),
            .experts = 2,
            .statistic = [this](const StatisticRef& s, size_t i) { return file(s, i); },
            .data = [this](size_t i) { return data[i]; }};
  }

  StateDict merge(const std::string& method, const Evidence& evidence) const {
    MergeInputs inputs;
    inputs.experts = sources;
    inputs.evidence = &evidence;
    const Json none = Json::object();
    return merge_to_memory(*make_method(method, JsonReader(none, "a test")), inputs);
  }

  std::shared_ptr<const Architecture> mlp = toy_mlp(4, 5, 3);
  std::vector<StateDict> weights;
  std::vector<std::shared_ptr<const TensorSource>> sources;
  std::vector<std::shared_ptr<const CalibrationData>> data;

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("RegMean gets the least-squares fit from its experts' data", "[calibration]") {
  const TwoExperts experts;
  const CalibrationEvidence evidence(experts.with_data());
  const StateDict merged = experts.merge("regmean@exact", evidence);
  // Of the first layer, whose inputs are the data.
  at::Tensor left = at::zeros({4, 4}, at::kDouble), right = at::zeros({4, 5}, at::kDouble);
  for (size_t i = 0; i < 2; ++i) {
    const at::Tensor x = experts.data[i]->batch(0, 60).inputs.to(at::kDouble);
    left += x.t().mm(x);
    right += x.t().mm(x).mm(experts.weights[i].at("hidden.weight").to(at::kDouble).t());
  }
  const at::Tensor optimum = left.inverse().mm(right).t();
  CHECK((merged.at("hidden.weight") - optimum).abs().max().item<double>() < 1e-5);
  const at::Tensor mean =
      (experts.weights[0].at("hidden.weight") + experts.weights[1].at("hidden.weight")) / 2;
  CHECK((merged.at("hidden.weight") - mean).abs().max().item<double>() > 1e-2);
}

TEST_CASE("statistics files alone are evidence enough", "[calibration]") {
  const TwoExperts experts;
  const CalibrationEvidence with_data(experts.with_data());
  EvidenceSources files;
  files.experts = 2;
  files.statistic = [&](const StatisticRef& s, size_t i) { return experts.file(s, i); };
  files.layers = experts.file(complete({"input_gram"}), 0)->layers();
  const CalibrationEvidence dataless(files);
  const StateDict merged = experts.merge("regmean", dataless);
  for (const auto& [name, tensor] : experts.merge("regmean", with_data))
    CHECK(at::equal(merged.at(name), tensor));
  CHECK_THROWS_WITH(dataless.network(), Contains("statistics only"));
}

TEST_CASE("the network runs with some weights replaced, and gives gradients", "[calibration]") {
  const TwoExperts experts;
  const CalibrationEvidence evidence(experts.with_data());
  const Network& network = evidence.network();
  CHECK(network.examples(1) == 60);
  const at::Tensor head = experts.weights[1].at("head.weight").clone().requires_grad_(true);
  const at::Tensor scores = network.logits({{"head.weight", head}}, 1, 10, 4);
  StateDict expected = experts.weights[0];
  expected["head.weight"] = head.detach();
  CHECK(at::equal(scores.detach(),
                  experts.mlp->logits(expected, experts.data[1]->batch(10, 4).inputs)));
  scores.sum().backward();
  CHECK(head.grad().abs().sum().item<double>() > 0);
  CHECK(at::equal(network.row_examples(1, 10, 4), at::arange(4)));
  CHECK_THROWS_WITH(network.logits({{"neck.weight", head}}, 0, 0, 1), Contains("neck.weight"));
}

TEST_CASE("merges that share profiles run one pass for their layers", "[calibration]") {
  int passes = 0;
  EvidenceSources sources;
  sources.architecture = std::make_shared<CountingNetwork>(2, passes);
  sources.reference = source("reference", sources.architecture->initial_weights(0));
  const CalibrationEvidence first(sources), second(sources);
  CHECK_FALSE(first.layer("weight"));
  CHECK(passes == 1);
  CHECK_FALSE(second.layer("weight"));
  CHECK(passes == 1);
  sources.profiles = std::make_shared<ForwardProfiles>();
  const CalibrationEvidence alone(sources);
  alone.layer("weight");
  CHECK(passes == 2);
}
