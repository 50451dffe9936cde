#include "methods/dense/sums.h"

namespace assay {
namespace {

/// The mean of the experts (a uniform soup).
struct Average {
  static constexpr MethodInfo info{.name = "average",
                                   .paper = "arXiv:2203.05482 §2",
                                   .summary = "uniform mean of the experts' weights",
                                   .elementwise = true,
                                   .flops = "N d"};

  at::Tensor merge(const TensorJob& job) const {
    return sum_of_experts(job, 1.0 / static_cast<double>(job.experts.size()));
  }
};

ASSAY_METHOD(Average)

}  // namespace
}  // namespace assay
