#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// STAR: of every task vector the fewest leading singular components that hold a share of the sum
/// of all singular values, scaled up to that sum; then the mean.
struct Star {
  static constexpr MethodInfo info{
      .name = "star",
      .paper = "arXiv:2502.10339 §3",
      .summary = "mean of task vectors cut to leading singular components and scaled up",
      .needs = {.base = true},
      .identity = R"({"eta": 100})",
      .flops = "N (5 m n^2 + 9 n^3)"};
  double eta = 40;
  double scale = 1;
  MatrixRule matrices{kEmbeddings};
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(eta, {.name = "eta",
            .range = {0, 100},
            .sweep = {10, 20, 30, 40, 50, 60, 70, 80},
            .help = "percentage of the sum of a task vector's singular values that the components "
                    "which are kept reach; at least one is kept"});
    p(scale, {.name = "scale", .range = {0, 5}, .help = "multiplier of the mean task vector"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    const size_t n = job.experts.size();
    std::vector<at::Tensor> cut(n);
    for_each_matrix(job, n, [&](size_t i) { cut[i] = cut_to_share(delta_matrix(job, i)); });
    at::Tensor sum = cut[0];
    for (size_t i = 1; i < n; ++i) sum += cut[i];
    return add_matrix(job, sum, scale / static_cast<double>(n));
  }

 private:
  at::Tensor cut_to_share(const at::Tensor& delta) const {
    const Svd factors = factorize(delta);
    if (factors.count() == 0) return at::zeros_like(delta);
    const at::Tensor sums = factors.s.cumsum(0);
    const double total = sums[-1].item<double>();
    const int64_t below = at::lt(sums, total * eta / 100).sum().item<int64_t>();
    const int64_t kept = std::min(below + 1, factors.count());
    const double rescale = total / sums[kept - 1].item<double>();
    return Svd{factors.u.narrow(1, 0, kept), factors.s.narrow(0, 0, kept) * rescale,
               factors.v.narrow(1, 0, kept)}
        .product();
  }
};

ASSAY_METHOD(Star)

}  // namespace
}  // namespace assay
