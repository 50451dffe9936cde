// A plugin, with the headers of everything that plugins may hold.
#include "harness/calibration/statistic.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/method.h"
#include "harness/model/architecture.h"
#include "harness/task/dataset.h"
#include "harness/task/task.h"

namespace assay {
namespace {

/// Twice the average.
struct InstalledExample {
  static constexpr MethodInfo info{.name = "installed_example",
                                   .paper = "none",
                                   .summary = "twice the average",
                                   .elementwise = true,
                                   .identity = ""};  // not the expert, but twice that
  void parameters(auto&&) {}
  at::Tensor merge(const TensorJob& job) const {
    return scaled_sum(job.experts, 2.0 / static_cast<double>(job.experts.size()));
  }
};

ASSAY_METHOD(InstalledExample)

}  // namespace
}  // namespace assay
