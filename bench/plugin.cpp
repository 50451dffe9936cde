// A plugin with one method; bench_plugins makes copies with other names of it.
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/method.h"

namespace assay {
namespace {

struct BenchPlugin {
  static constexpr MethodInfo info{.name = "bench_plugin_00",
                                   .paper = "https://example.org/bench",
                                   .summary = "the mean of the experts",
                                   .elementwise = true};

  void parameters(auto&&) {}
  at::Tensor merge(const TensorJob& job) const {
    return scaled_sum(job.experts, 1.0 / job.experts.size());
  }
};

ASSAY_METHOD(BenchPlugin)

}  // namespace
}  // namespace assay
