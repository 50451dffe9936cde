#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/arrivals.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// OPCM: experts arrive one after the other. Of each task vector what lies in the leading
/// directions of the sum so far is taken away before it is added.
///
/// The sum is scaled to the mean norm of the task vectors after every step. Directions and shares
/// of singular values do not depend on that, so that scaling once, at the end, is the same.
struct Opcm {
  static constexpr MethodInfo info{
      .name = "opcm",
      .paper = "arXiv:2501.09522 §3",
      .summary = "task vectors added one by one, each off the leading directions of those before",
      .needs = {.base = true},
      .randomized = true,
      .identity = "",  // vectors like biases add up, then all is scaled
      .flops = "(N - 1) (10 m n^2 + 11 n^3)"};
  double alpha = 0.5;
  Order order = Order::kShuffled;
  MatrixRule matrices;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.3, 0.5, 0.7, 0.9},
              .help = "directions lead up to this share of the sum of the singular values; in "
                      "them, a new task vector adds nothing"});
    order_parameter(order, p);
    matrices.parameters(p);
  }

  bool randomized() const { return order == Order::kShuffled; }

  StateDict merge_model(const ModelJob& job) const {
    const std::vector<std::string>& names = job.names();
    const std::vector<size_t> arrivals = arrivals_of(job, order);
    std::vector<at::Tensor> sums(names.size());
    std::vector<std::vector<double>> squares(names.size());
    job.for_each([&](size_t k) {
      const OneThread one;
      const TensorJob tensor = job.tensor(names[k]);
      const bool matrix = matrices.applies(tensor);
      at::Tensor sum;
      for (const size_t i : arrivals) {
        const at::Tensor delta = tensor.experts[i].to(at::kDouble) - tensor.base.to(at::kDouble);
        squares[k].push_back(delta.square().sum().item<double>());
        const at::Tensor added = sum.defined() && matrix ? projected(delta, sum) : delta;
        sum = sum.defined() ? sum + added : added;
      }
      squares[k].push_back(sum.square().sum().item<double>());
      sums[k] = sum.to(at::kFloat);
    });

    std::vector<double> norms(arrivals.size() + 1);  // of the task vectors, then of the sum
    for (const std::vector<double>& of_tensor : squares)
      for (size_t i = 0; i < norms.size(); ++i) norms[i] += of_tensor[i];
    for (double& norm : norms) norm = std::sqrt(norm);
    const double mean =
        std::accumulate(norms.begin(), norms.end() - 1, 0.0) / static_cast<double>(arrivals.size());
    const double scale = norms.back() > 0 ? mean / norms.back() : 0;

    StateDict merged;
    for (size_t k = 0; k < names.size(); ++k)
      merged[names[k]] = add_matrix(job.tensor(names[k]), sums[k], scale);
    return merged;
  }

 private:
  /// The delta without what pairs two leading directions of the sum, or a direction with itself.
  at::Tensor projected(const at::Tensor& delta, const at::Tensor& sum) const {
    const at::Tensor matrix = delta.flatten(1);
    const Svd before = factorize(sum.flatten(1));
    if (before.count() == 0) return delta;
    const at::Tensor sums = before.s.cumsum(0);
    const int64_t leading = at::le(sums / sums[-1], alpha).sum().item<int64_t>();
    at::Tensor paired = before.u.t().mm(matrix).mm(before.v);
    at::Tensor taken = at::diag_embed(paired.diagonal());
    taken.narrow(0, 0, leading)
        .narrow(1, 0, leading)
        .copy_(paired.narrow(0, 0, leading).narrow(1, 0, leading));
    return delta - before.u.mm(taken).mm(before.v.t()).reshape(delta.sizes());
  }
};

ASSAY_METHOD(Opcm)

}  // namespace
}  // namespace assay
