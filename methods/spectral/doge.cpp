#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/kernels/one_thread.h"
#include "harness/method/some_tensors.h"
#include "methods/adam.h"
#include "methods/dense/trim_elect.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// DOGE, on task arithmetic: all task vectors are changed by one matrix, which makes the merge
/// respond to the rows of each task vector as that one does. It is learned without data, off the
/// directions that the task vectors share.
///
/// With weights c_i = lambda / |d_i| and S = sum_i c_i d_i the loss is, over experts j and rows,
/// the sum of (d_j (d_j - S - C D)^T)^2, C = sum_i c_i; D begins at 0. The merge is
/// sum_i c_i m_i (d_i + D), where m_i keeps the largest entries of d_i over the model.
struct Doge {
  static constexpr MethodInfo info{
      .name = "doge",
      .paper = "arXiv:2501.01230 §3",
      .summary = "task arithmetic of task vectors with a common change, learned without data",
      .needs = {.base = true},
      .identity = "",  // weights are by norms
      .flops = "steps (5 N d + 16 d + 2 m n^2 / 3) + N (4 m n^2 + 9 n^3)"};
  double lambda = 0.07;
  double density = 0.3;
  int64_t steps = 400;
  double rate = 1e-4;
  int64_t subspace = 6;
  MatrixRule matrices{kEmbeddings};
  Others others = Others::kBase;

  void parameters(auto&& p) {
    p(lambda,
      {.name = "lambda",
       .range = {0, 100},
       .sweep = {0.03, 0.07, 0.15, 0.3},
       .help = "the norm that every task vector of a tensor gets: it is divided by its own"});
    p(density, {.name = "density",
                .range = {0, 1},
                .sweep = {0.1, 0.3, 1},
                .help = "share of each task vector that is kept, the largest entries over all "
                        "matrices of the model"});
    p(steps, {.name = "steps", .range = {0, 1000000}, .help = "of Adam"});
    p(rate, {.name = "rate",
             .range = {0, 1},
             .help = "Adam's learning rate; a step moves an entry by about as much at most"});
    p(subspace, {.name = "subspace",
                 .range = {1, 4096},
                 .help = "one in so many of a matrix's singular directions is shared by the task "
                         "vectors, and no gradient goes there"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& job) const;

 private:
  /// Directions [rows, count] of the outputs that the task vectors share.
  at::Tensor shared_directions(const std::vector<at::Tensor>& deltas) const;
  /// D.
  at::Tensor learned(const std::vector<at::Tensor>& deltas, const std::vector<double>& weights,
                     const at::Tensor& sum) const;

  TrimElect largest_;
  std::map<std::string, TrimElect::Trimmed> trimmed_;  ///< of every matrix
};

void Doge::prepare(const ModelJob& job) {
  largest_.density = density;
  largest_.tie = TrimElect::Tie::kZero;
  const SomeTensors own(
      job, [&](const std::string& name) { return matrices.applies(job.tensor(name)); });
  if (own.names().empty()) return;
  largest_.prepare(own);
  for (const std::string& name : own.names()) trimmed_[name] = largest_.measure(own.parts(name));
}

at::Tensor Doge::shared_directions(const std::vector<at::Tensor>& deltas) const {
  const int64_t rank = std::min(deltas.front().size(0), deltas.front().size(1));
  const int64_t each = rank / static_cast<int64_t>(deltas.size()), count = rank / subspace;
  std::vector<at::Tensor> leading;
  for (const at::Tensor& delta : deltas)
    if (each > 0) leading.push_back(factorize(delta, {.most = each}).u);
  if (leading.empty() || count == 0) return at::zeros({deltas.front().size(0), 0}, at::kDouble);
  return factorize(at::cat(leading, 1), {.most = count}).u;
}

at::Tensor Doge::learned(const std::vector<at::Tensor>& deltas, const std::vector<double>& weights,
                         const at::Tensor& sum) const {
  double all = 0;
  for (const double weight : weights) all += weight;
  std::vector<at::Tensor> missing;  // of every row, what the merge lacks of its own response
  for (const at::Tensor& delta : deltas)
    missing.push_back((delta * (delta - sum)).sum(1, /*keepdim=*/true));
  const at::Tensor shared = shared_directions(deltas);
  at::Tensor change = at::zeros_like(sum);
  Adam adam(change);
  for (int64_t step = 0; step < steps; ++step) {
    at::Tensor gradient = at::zeros_like(sum);
    for (size_t j = 0; j < deltas.size(); ++j) {
      const at::Tensor error = missing[j] - (deltas[j] * change).sum(1, /*keepdim=*/true) * all;
      gradient.addcmul_(deltas[j], error, -2 * all);
    }
    gradient.sub_(shared.mm(shared.t().mm(gradient)));
    adam.step(change, gradient, rate);
  }
  return change;
}

at::Tensor Doge::merge(const TensorJob& job) const {
  if (!matrices.applies(job)) return merge_other(job, others, 1);
  const OneThread one;
  const std::vector<at::Tensor> deltas = delta_matrices(job);
  std::vector<double> weights;
  at::Tensor sum = at::zeros_like(deltas.front());
  for (const at::Tensor& delta : deltas) {
    const double norm = delta.norm().item<double>();
    weights.push_back(norm > 0 ? lambda / norm : 0);  // the base itself adds nothing
    sum.add_(delta, weights.back());
  }
  const at::Tensor change = learned(deltas, weights, sum);
  at::Tensor merged = at::zeros_like(sum);
  for (size_t i = 0; i < deltas.size(); ++i) {
    at::Tensor moved = deltas[i] + change;
    if (density < 1) {
      const at::Tensor delta = job.experts[i].to(at::kFloat) - job.base.to(at::kFloat);
      const at::Tensor kept = largest_.alone(trimmed_.at(job.name), i, delta).flatten(1) != 0;
      moved = at::where(kept, moved, 0.0);
    }
    merged.add_(moved, weights[i]);
  }
  return add_matrix(job, merged, 1);
}

ASSAY_METHOD(Doge)

}  // namespace
}  // namespace assay
