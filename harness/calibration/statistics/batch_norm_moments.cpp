// What the running moments of BatchNorm layers would be on an expert's data: each batch runs by its
// own moments, as in training, and those of all batches count alike. PyTorch has the same with
// momentum None after a reset. Batches are the harness's (32 images), and what earlier layers give
// depends on them: of all statistics, this one alone depends on how examples are divided.
#include <ATen/ATen.h>

#include <set>
#include <utility>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/model/batch_norm.h"
#include "harness/model/forward.h"

namespace assay {
namespace {

struct BatchNormMoments {
  static constexpr StatisticInfo info{
      .name = "batch_norm_moments",
      .paper = "arXiv:1502.03167 §3.1",
      .summary = "running means and variances of BatchNorm layers, estimated anew"};

  StateDict observe(const StatisticBatch& batch) const {
    BatchNormByBatch by_batch;
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return by_batch.running_moments();
  }

  void add(const StateDict& moments) {
    if (moments.empty())
      user_error(
          "the statistic 'batch_norm_moments' is of BatchNorm layers, and the model has none");
    sums_.add(moments);
    ++batches_;
  }

  StatisticTensors finish(const NetworkShape& /*network*/, int64_t /*examples*/) {
    return {sums_.means(std::exchange(batches_, 0), at::kFloat)};
  }

  int64_t working_bytes(const NetworkShape& network) const {
    int64_t values = 0;
    const std::set<std::string> names = running_moments_of(network.architecture);
    for (const TensorInfo& tensor : network.architecture.tensors())
      if (names.contains(tensor.name)) values += tensor.numel();
    return values * static_cast<int64_t>(sizeof(double));
  }

 private:
  NamedSums sums_;
  int64_t batches_ = 0;
};

ASSAY_STATISTIC(BatchNormMoments)

}  // namespace
}  // namespace assay
