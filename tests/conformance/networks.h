/// Networks with tasks of their own, and the evidence of them that methods get in sweeps and
/// merges: a small CNN, and a small decoder that is stored in bfloat16.
#pragma once

#include "harness/calibration/evidence.h"
#include "harness/calibration/statistic.h"
#include "tests/calibration/toy_task.h"
#include "tests/conformance/models.h"
#include "tests/lm/encoder_models.h"
#include "tests/model/language_models.h"
#include "tests/task/text_task_helpers.h"

namespace assay::testing {

/// Experts of one base, each with examples of a task of its own.
struct Networks {
  std::string name;
  std::shared_ptr<const Architecture> architecture;
  std::shared_ptr<const TensorSource> base;
  std::vector<std::shared_ptr<const TensorSource>> experts;
  std::vector<std::shared_ptr<const CalibrationData>> data;  ///< of each expert
};

constexpr uint64_t kNetworkExperts = 3;

inline Networks untrained(const std::string& name, std::shared_ptr<const Architecture> architecture,
                          at::ScalarType dtype) {
  Networks made{name, std::move(architecture), nullptr, {}, {}};
  for (uint64_t i = 0; i <= kNetworkExperts; ++i) {
    StateDict weights = made.architecture->initial_weights(1);
    uint64_t key = 100 * i;
    for (auto& [unused, tensor] : weights)
      tensor = (tensor + (i ? .2 : 0.) * noise(tensor.sizes(), ++key)).to(dtype);
    if (i == 0)
      made.base = source("base", std::move(weights));
    else
      made.experts.push_back(source(fmt::format("expert {}", i - 1), std::move(weights)));
  }
  return made;
}

inline Networks small_cnns() {
  const Json config{{"model_type", "small_cnn"}, {"channels", 2}, {"hidden", 4}, {"classes", 3}};
  Networks made = untrained("small_cnn", make_architecture(JsonReader(config, "test")), at::kFloat);
  for (uint64_t i = 0; i < kNetworkExperts; ++i) {
    const auto task = toy_task(fmt::format("toy/{}", i), noise({6, 1, 28, 28}, 50 + i),
                               at::arange(6, at::kLong).remainder(3));
    const Computation computation{made.architecture, nullptr};
    made.data.push_back(std::make_shared<const CalibrationData>(
        CalibrationData(computation, {task}, {.examples = 6})));
  }
  return made;
}

/// Answers are one token, as the exact Fisher information of longer ones cannot be computed.
inline Networks decoders(const std::string& type = "llama") {
  Json config = example_config(type);
  config["vocab_size"] = 32;
  config["num_hidden_layers"] = 2;
  if (type == "mixtral") config["num_local_experts"] = 6;
  Networks made = untrained("decoder", language(config), at::kBFloat16);
  const Computation computation{made.architecture, plain_words()};
  const TextFolder folder;
  for (uint64_t i = 0; i < kNetworkExperts; ++i) {
    const std::string file = folder.lines(
        fmt::format("{}.jsonl", i), {{{"text", fmt::format("t4 t5 t{}", 6 + i)}, {"answer", "t7"}},
                                     {{"text", "t8"}, {"answer", fmt::format("t{}", 10 + i)}},
                                     {{"text", "t3 t4 t5 t6"}, {"answer", "t4"}}});
    const auto task =
        make_text_task("generation", {{"dataset", {{"files", {{"validation", file}}}}},
                                      {"prompt", "{{text}}"},
                                      {"target", "{{answer}}"}});
    made.data.push_back(std::make_shared<const CalibrationData>(
        CalibrationData(computation, {task}, {.examples = 3})));
  }
  return made;
}

/// Those that the method applies to. One that changes the shape knows the configs of transformers.
inline std::vector<Networks> networks_for(const std::string& ref) {
  static const Networks cnns = small_cnns(), language_models = decoders(),
                        mixtures = decoders("mixtral");
  if (takes_mixture(ref)) return {mixtures};
  const Output output = entry_of(ref).info.needs.output;
  if (output == Output::kReshaped || output == Output::kMixtureOfExperts ||
      output == Output::kEnsemble)
    return {language_models};
  return {cnns, language_models};
}

/// Evidence of the networks. Statistics are computed when they are asked for.
class NetworkEvidence {
 public:
  enum class Of { kData, kStatisticsAlone };

  explicit NetworkEvidence(const Networks& networks, Of of = Of::kData) : networks_(networks) {
    EvidenceSources sources;
    sources.experts = networks.experts.size();
    sources.statistic = [this](const StatisticRef& wanted, size_t i) { return file(wanted, i); };
    if (of == Of::kData) {
      sources.architecture = networks.architecture;
      sources.reference = networks.base;
      sources.data = [this](size_t i) { return networks_.data.at(i); };
    } else {
      sources.layers = file(complete({"input_gram"}), 0)->layers();
    }
    evidence_ = std::make_unique<CalibrationEvidence>(std::move(sources));
  }
  const Evidence& get() const { return *evidence_; }

 private:
  std::shared_ptr<const StatisticFile> file(const StatisticRef& wanted, size_t expert) const {
    const auto statistic = make_statistic(wanted.name, JsonReader(wanted.parameters, "test"));
    StatisticJob job;
    job.statistic = wanted.name;
    job.parameters = wanted.parameters;
    const CalibrationData& data = *networks_.data.at(expert);
    const StateDict weights = load_weights(*networks_.architecture, *networks_.experts.at(expert),
                                           at::kCPU, statistic->dtype());
    const fs::path path = folder_.path() / fmt::format("{}.safetensors", ++files_);
    StatisticFile::write(path, job, data.size(),
                         compute_statistic(*statistic, *networks_.architecture, weights, data, 0),
                         {});
    return StatisticFile::open(path);
  }

  const Networks networks_;
  const TemporaryFolder folder_;
  mutable int files_ = 0;
  std::unique_ptr<const Evidence> evidence_;
};

/// What the method needs and no more, but for evidence.
inline MergeInputs network_inputs(const std::string& ref, const Networks& networks) {
  const Needs needs = make_method(ref, JsonReader(Json::object(), "test"))->needs();
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = networks.architecture->config();
  if (needs.base) inputs.base = networks.base;
  inputs.experts = networks.experts;
  const auto most = static_cast<size_t>(needs.max_experts);
  if (inputs.experts.size() > most) inputs.experts.resize(most);
  return inputs;
}

/// Parameters under which methods that train take a few steps.
inline Json quick_parameters(const std::string& ref) {
  for (const ParamDoc& parameter : entry_of(ref).parameters())
    for (const char* budget : {"steps", "tokens"})
      if (parameter.name == budget) return {{budget, 3}};
  return Json::object();
}

inline Results merge_networks(const std::string& ref, const Json& parameters,
                              const Networks& networks,
                              NetworkEvidence::Of of = NetworkEvidence::Of::kData) {
  MergeInputs inputs = network_inputs(ref, networks);
  const bool looks = needs_evidence(make_method(ref, JsonReader(parameters, "test"))->needs());
  const auto evidence = looks ? std::make_unique<const NetworkEvidence>(networks, of) : nullptr;
  inputs.evidence = evidence ? &evidence->get() : nullptr;
  return merge_all(ref, parameters, inputs);
}

}  // namespace assay::testing
