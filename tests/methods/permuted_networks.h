/// Networks of any initialisation, for methods that match their units.
#pragma once

#include <cmath>

#include "harness/model/forward.h"
#include "tests/conformance/networks.h"

namespace assay::testing {

constexpr int64_t kExamples = 200;

/// Networks of one architecture, each with data of its own.
inline Networks networks_of(const Json& config, const std::vector<StateDict>& weights) {
  Networks made{"permuted", make_architecture(JsonReader(config, "test")), nullptr, {}, {}};
  std::vector<int64_t> shape = made.architecture->item_shape();
  shape.insert(shape.begin(), kExamples);
  for (size_t i = 0; i < weights.size(); ++i) {
    made.experts.push_back(source(fmt::format("expert {}", i), weights[i]));
    const auto task = toy_task(fmt::format("toy/{}", i), noise(shape, 70 + i),
                               at::arange(kExamples, at::kLong).remainder(3));
    made.data.push_back(std::make_shared<const CalibrationData>(
        CalibrationData(Computation{made.architecture, nullptr}, {task}, {.examples = kExamples})));
  }
  made.base = made.experts.front();
  return made;
}

inline const Json kMlp{{"model_type", "mlp"}, {"inputs", 6}, {"hidden", 16}, {"classes", 3}};

inline const Json kResNet{{"model_type", "cifar_resnet"},
                          {"depth", 8},
                          {"width", 4},
                          {"channels", 1},
                          {"image_size", 8},
                          {"classes", 3}};

inline StateDict random_mlp(uint64_t seed) {
  StateDict weights = make_architecture(JsonReader(kMlp, "test"))->initial_weights(seed);
  weights["hidden.bias"] = .3 * noise({16}, 900 + seed);
  weights["head.bias"] = .3 * noise({3}, 950 + seed);
  return weights;
}

/// A merge of networks with data, and what computes it.
struct Merged {
  StateDict weights;
  MergeReport report;
  std::shared_ptr<const Architecture> architecture;

  at::Tensor scores(const Networks& networks, size_t expert) const {
    return row_logits(*architecture, weights, networks.data[expert]->batch(0, kExamples));
  }
};

inline Merged merged(const std::string& ref, const Json& parameters, const Networks& networks) {
  const NetworkEvidence evidence(networks);
  MergeInputs inputs;
  inputs.config = networks.architecture->config();
  inputs.experts = networks.experts;
  inputs.evidence = &evidence.get();
  Merged made;
  made.weights = merge(ref, parameters, inputs, &made.report);
  made.architecture = made.report.config
                          ? make_architecture(JsonReader(*made.report.config, "test"))
                          : networks.architecture;
  return made;
}

/// Of one of the networks, on the data of one.
inline at::Tensor own_scores(const Networks& networks, size_t model, size_t data) {
  StateDict weights;
  for (const TensorInfo& info : networks.experts[model]->tensors())
    weights[info.name] = networks.experts[model]->read(info.name);
  return row_logits(*networks.architecture, weights, networks.data[data]->batch(0, kExamples));
}

/// How far the scores are from the mean of the networks', as a share of its norm.
inline double error_to_ensemble(const Merged& made, const Networks& networks) {
  double error = 0, norm = 0;
  for (size_t data = 0; data < networks.data.size(); ++data) {
    at::Tensor mean = own_scores(networks, 0, data);
    for (size_t i = 1; i < networks.experts.size(); ++i)
      mean = mean + own_scores(networks, i, data);
    mean = mean / static_cast<double>(networks.experts.size());
    error += (made.scores(networks, data) - mean).square().sum().item<double>();
    norm += mean.square().sum().item<double>();
  }
  return std::sqrt(error / norm);
}

}  // namespace assay::testing
