// A statistic, the mean of every layer's input, and a method that reads it.
#include <ATen/ATen.h>

#include "harness/calibration/statistic.h"
#include "harness/method/method.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

class MeanObserver final : public LayerObserver {
 public:
  void layer(const LayerInput& input) override {
    const at::Tensor rows = counted_rows(input);
    sums[input.weight] = rows.sum(0, false, at::kDouble);
    counts[input.weight] = rows.size(0);
  }
  StateDict sums;
  std::map<std::string, int64_t> counts;
};

struct TestInputMean {
  static constexpr StatisticInfo info{.name = "test_input_mean",
                                      .paper = "https://example.org/input-mean",
                                      .summary = "the mean of every layer's input"};
  struct Part {
    StateDict sums;
    std::map<std::string, int64_t> counts;
  };

  void parameters(auto&&) {}

  Part observe(const StatisticBatch& batch) const {
    MeanObserver observer;
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return {std::move(observer.sums), std::move(observer.counts)};
  }
  void add(Part part) {
    for (auto& [name, sum] : part.sums) {
      auto [known, is_new] = result_.tensors.emplace(name, sum);
      if (!is_new) known->second.add_(sum);
      result_.rows[name] += part.counts.at(name);
    }
  }
  StatisticTensors finish(const NetworkShape&, int64_t) {
    for (auto& [name, sum] : result_.tensors) sum.div_(static_cast<double>(result_.rows.at(name)));
    return std::move(result_);
  }
  int64_t working_bytes(const NetworkShape& network) const {
    int64_t values = 0;
    for (const LayerInfo& layer : network.layers) values += layer.inputs;
    return values * static_cast<int64_t>(sizeof(double));
  }

 private:
  StatisticTensors result_;
};

ASSAY_STATISTIC(TestInputMean)

}  // namespace

namespace other {
namespace {

struct TestByInputs {
  static constexpr MethodInfo info{.name = "test_by_inputs",
                                   .paper = "https://example.org/input-mean",
                                   .summary = "the first expert, having seen its inputs"};

  void parameters(auto&&) {}
  std::vector<StatisticRef> statistics() const { return {{"test_input_mean"}}; }

  at::Tensor merge(const TensorJob& job) const {
    if (job.evidence().layer(job.name))
      job.report(
          "mean_input",
          job.evidence().statistic({"test_input_mean"}, 0)->read(job.name).mean().item<double>());
    return job.experts.front().to(at::kFloat);
  }
};

ASSAY_METHOD(TestByInputs)

}  // namespace
}  // namespace other
}  // namespace assay
