/// Networks of any initialisation, for methods that match their units.
#pragma once

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

}  // namespace assay::testing
