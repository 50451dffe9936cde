#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// CART: task arithmetic around the mean of the experts in place of the base, on the leading
/// singular components of every expert's difference from the mean.
struct Cart {
  static constexpr MethodInfo info{
      .name = "cart",
      .paper = "arXiv:2412.12153 §4",
      .summary = "the experts' mean plus low-rank differences of the experts from it",
      .identity = "{}",
      .flops = "N (4 m n^2 + 9 n^3 + 6 d)"};
  double rank = 0.5;
  double scale = 0.5;
  std::vector<double> weights;
  MatrixRule matrices{kEmbeddings};

  void parameters(auto&& p) {
    p(rank, {.name = "rank",
             .range = {0, 65536},
             .sweep = {0.08, 0.16, 0.32, 0.5},
             .help = "singular components of every difference that are kept, at least one: up to "
                     "1 a share of them, above 1 a number"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.5, 1.0, 1.5},
              .help = "multiplier of the summed differences"});
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    matrices.parameters(p);
  }

  void prepare(const ModelJob& job) const { check_weights(weights, job); }

  at::Tensor merge(const TensorJob& job) const {
    const size_t n = job.experts.size();
    if (!matrices.applies(job)) return sum_of_experts(job, 1.0 / static_cast<double>(n));
    const std::vector<at::Tensor> experts = delta_matrices(job);  // there is no base
    at::Tensor merged = experts[0].clone();
    for (size_t i = 1; i < n; ++i) merged += experts[i];
    merged /= static_cast<double>(n);

    std::vector<at::Tensor> cut(n);
    for_each_matrix(job, n, [&](size_t i) {
      cut[i] = factorize(experts[i] - merged, {.most = kept(merged)}).product();
    });
    const std::vector<double> factors = expert_weights(weights, n);
    for (size_t i = 0; i < n; ++i) merged.add_(cut[i], scale * factors[i]);
    return merged.reshape(job.experts[0].sizes()).to(at::kFloat);
  }

 private:
  int64_t kept(const at::Tensor& matrix) const {
    const auto all = static_cast<double>(std::min(matrix.size(0), matrix.size(1)));
    return std::max<int64_t>(1, static_cast<int64_t>(rank <= 1 ? std::ceil(rank * all) : rank));
  }
};

ASSAY_METHOD(Cart)

}  // namespace
}  // namespace assay
