#include <algorithm>

#include "harness/method/method.h"
#include "methods/dense/sphere.h"
#include "methods/dense/sums.h"

namespace assay {
namespace {

/// MLERP: the mean of the experts, stretched to the largest of their norms.
struct Mlerp {
  enum class Scope { kModel, kTensor };

  static constexpr MethodInfo info{.name = "mlerp",
                                   .paper = "arXiv:2312.01026 §3",
                                   .summary =
                                       "mean of the experts with the largest of their norms "
                                       "(experimental: no reference implementation was published)",
                                   .needs = {.min_experts = 2},
                                   .flops = "(N^2 + 2 N) d"};
  Scope scope = Scope::kModel;

  void parameters(auto&& p) {
    p(scope, {.name = "scope",
              .choices = {"model", "tensor"},
              .help = "whether norms are those of the whole models or of each tensor"});
  }

  void prepare(const ModelJob& job) {
    if (scope == Scope::kTensor) return;
    DotProducts total(static_cast<int>(job.num_experts()));
    for (const std::string& name : job.names()) total.add(dot_products_of_experts(job.parts(name)));
    model_factor_ = factor(total, "the models");
  }
  /// How much the mean of the tensor is stretched.
  double measure(const TensorParts& tensor) const {
    return scope == Scope::kModel ? model_factor_
                                  : factor(dot_products_of_experts(tensor), tensor.name());
  }
  at::Tensor merge(const TensorJob& part, double stretch) const {
    return sum_of_experts(part, stretch / static_cast<double>(part.experts.size()));
  }

 private:
  /// The largest norm over the norm of the mean.
  static double factor(const DotProducts& products, const std::string& what) {
    const int n = products.size();
    double largest = 0;
    for (int i = 0; i < n; ++i) largest = std::max(largest, std::sqrt(products(i, i)));
    const double mean = span_norm(products, std::vector<double>(static_cast<size_t>(n), 1.0 / n));
    if (largest == 0) return 1;
    if (mean < 1e-8 * largest)
      data_error("the experts' mean of {} is zero: it has no direction", what);
    return largest / mean;
  }

  double model_factor_ = 1;
};

ASSAY_METHOD(Mlerp)

}  // namespace
}  // namespace assay
