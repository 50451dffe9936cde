// The example of docs/statistics.md.
#include <ATen/ATen.h>

#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

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

struct InputMean {
  static constexpr StatisticInfo info{.name = "input_mean",
                                      .paper = "https://example.org/input-mean",
                                      .summary = "the mean of every layer's input"};
  struct Part {
    StateDict sums;
    std::map<std::string, int64_t> counts;
  };

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

ASSAY_STATISTIC(InputMean)

}  // namespace
}  // namespace assay

using namespace assay;
using namespace assay::testing;

TEST_CASE("a statistic of one's own is computed as the others are", "[calibration]") {
  const auto mlp = toy_mlp(4, 3, 2);
  const CalibrationData data(
      {mlp, nullptr}, {toy_task("toy/a", noise({30, 4}, 1), at::zeros({30}, at::kLong))}, {});
  const Json none = Json::object();
  const auto statistic = make_statistic("input_mean", JsonReader(none, "a test"));
  const StatisticTensors found =
      compute_statistic(*statistic, *mlp, mlp->initial_weights(0), data, 0, 64 * 7);
  CHECK(found.rows.at("hidden.weight") == 30);
  const at::Tensor mean = data.batch(0, 30).inputs.mean(0, false, at::kDouble);
  CHECK(at::allclose(found.tensors.at("hidden.weight"), mean, 1e-6, 1e-7));
}
