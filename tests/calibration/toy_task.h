/// Tasks of tensors given by a test, and small models for them.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>

#include "harness/calibration/data.h"
#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay::testing {

/// The same examples in every split but the test split, which has none.
class ToyTask : public Task {
 public:
  ToyTask(const std::string& name, Examples examples)
      : Task(name, hash_text(name), Json::object()), examples_(std::move(examples)) {}
  std::vector<MetricResult> evaluate(const Predictor&, Split) const override { return {}; }
  std::string primary_metric() const override { return "acc"; }
  void check_split(Split split) const override {
    if (split == Split::kTest) user_error("the task '{}' has no test split", name());
  }
  Examples examples(Split) const override { return examples_; }
  int64_t size(Split) const override { return examples_.targets.size(0); }

 private:
  Examples examples_;
};

inline std::shared_ptr<const Task> toy_task(const std::string& name, const at::Tensor& inputs,
                                            const at::Tensor& targets) {
  return std::make_shared<ToyTask>(name, Examples{inputs, targets});
}

inline std::shared_ptr<const Architecture> toy_mlp(int64_t inputs, int64_t hidden,
                                                   int64_t classes) {
  const Json config{
      {"model_type", "mlp"}, {"inputs", inputs}, {"hidden", hidden}, {"classes", classes}};
  return make_architecture(JsonReader(config, "the test"));
}

/// A statistic of the model with these weights on data.
inline StatisticTensors computed(const std::string& statistic, const Json& parameters,
                                 const Architecture& architecture, const StateDict& weights,
                                 const CalibrationData& data, int64_t batch_tokens = kBatchTokens,
                                 uint64_t seed = 0) {
  const auto made = make_statistic(statistic, JsonReader(parameters, "the test"));
  return compute_statistic(*made, architecture, weights, data, seed, batch_tokens);
}

}  // namespace assay::testing
