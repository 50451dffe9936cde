#include "harness/kernels/weighted_sum.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// The mean of the experts (a uniform soup).
struct Average {
  static constexpr MethodInfo info{.name = "average",
                                   .paper = "arXiv:2203.05482 §2",
                                   .summary = "uniform mean of the experts' weights"};

  at::Tensor merge(const TensorJob& job) const {
    return weighted_sum(job.experts, normalized_weights({}, job.experts.size()));
  }
};

ASSAY_METHOD(Average)

}  // namespace
}  // namespace assay
