#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/adam.h"
#include "methods/data/layer_fit.h"
#include "methods/dense/weights.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// WUDI: a task vector m whose difference from each expert's is as orthogonal to that one's rows as
/// can be: the minimum of sum_i c_i |(m - d_i) d_i^T|^2, c_i = 1 / |d_i|^2. The rows of a task
/// vector span the inputs that its fine-tuning saw, so no data are needed.
///
/// OptMerge, of which two forms are published, puts leading singular components of d_i in the place
/// of its rows, p_i, and in the place of what m is to equal there, t_i: the same components, or the
/// mean of the task vectors and the leading components of d_i's difference from it.
///
/// With C = sum_i c_i p_i^T p_i and R = sum_i c_i t_i p_i^T p_i the gradient is 2 (m C - R),
/// whatever the number of experts; WUDI's t_i and p_i are d_i.
struct Wudi {
  enum class Solver { kAdam, kSgd, kClosed };
  enum class Start { kSum, kMean };
  enum class Rank { kFull, kShare, kCentered };

  static constexpr MethodInfo info{
      .name = "wudi",
      .paper = "arXiv:2503.08099 §4",
      .summary = "the task vector that interferes least with each expert's in its own subspace",
      .needs = {.base = true},
      .identity = R"({"solver": "closed"})",
      .flops = "4 N m n^2 + steps (2 m n^2 + 15 d)"};
  static constexpr Preset presets[] = {
      {"fusionbench", R"({"steps": 400})", "FusionBench's number of steps"},
      {"closed", R"({"solver": "closed"})", "the minimum itself, in place of steps towards it"},
      {"actmat", R"({"solver": "closed", "normalize": false})",
       "ACTMat, arXiv:2604.01329: the minimum without division by squared norms"},
      {"optmerge", R"({"solver": "sgd", "rate": 1e-4, "start": "mean", "rank": "share"})",
       "OptMerge (WUDI v2), arXiv:2505.19892, as its code for Qwen2-VL runs it"},
      {"optmerge_centered", R"({"rank": "centered"})",
       "OptMerge (WUDI v2) as its code for InternVL and its fork of FusionBench run it: Adam from "
       "the sum, towards task vectors of which differences from the mean are cut"}};
  Solver solver = Solver::kAdam;
  int64_t steps = 300;
  double rate = 1e-5;
  double momentum = 0.9;
  Start start = Start::kSum;
  Rank rank = Rank::kFull;
  bool normalize = true;
  double cutoff = 1e-10;
  double scale = 1;
  std::vector<double> weights;
  MatrixRule matrices{kEmbeddings};
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(solver, {.name = "solver",
               .choices = {"adam", "sgd", "closed"},
               .help = "steps of Adam (the paper) or of SGD with momentum from the start, or the "
                       "minimum in closed form"});
    p(steps, {.name = "steps",
              .range = {0, 1000000},
              .sweep = {100, 300, 1000},
              .help = "of the solver; one of Adam moves an entry by about the rate at most, so "
                      "the sizes of the task vectors matter"});
    p(rate, {.name = "rate", .range = {0, 1}, .help = "the solver's learning rate"});
    p(momentum, {.name = "momentum", .range = {0, 1}, .help = "of SGD"});
    p(start, {.name = "start",
              .choices = {"sum", "mean"},
              .help = "steps begin at the sum of the task vectors, or at their mean (OptMerge)"});
    p(rank, {.name = "rank",
             .choices = {"full", "share", "centered"},
             .help = "task vectors count as they are; with as many leading singular components "
                     "as a matrix has for each expert (OptMerge); or with these where the loss "
                     "looks, while what is aimed at is the mean task vector and as many of the "
                     "difference from it (OptMerge, centered)"});
    p(normalize,
      {.name = "normalize", .help = "divide each expert's part of the loss by its squared norm"});
    p(cutoff, {.name = "cutoff",
               .range = {1e-14, 1},
               .help = "of the closed form: directions whose eigenvalue is at most this share of "
                       "the largest count as not seen, and stay the base's"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.5, 1.0, 1.5},
              .help = "multiplier of the merged task vector; the paper's is 1"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  at::Tensor merge(const TensorJob& job) const;

 private:
  struct Loss {
    at::Tensor start;  ///< where steps begin, [rows, columns]
    at::Tensor gram;   ///< C, [columns, columns]
    at::Tensor right;  ///< R, [rows, columns]
  };
  /// Undefined tensors where no expert differs from the base.
  Loss loss(const TensorJob& job) const;
  /// The leading singular components of which each expert has a share, at least one.
  static at::Tensor leading(const at::Tensor& delta, size_t experts);
  at::Tensor descended(const Loss& loss) const;
  at::Tensor solved(const Loss& loss) const;
};

Wudi::Loss Wudi::loss(const TensorJob& job) const {
  const size_t experts = job.experts.size();
  const std::vector<double> factors = expert_weights(weights, experts);
  at::Tensor mean;
  if (rank == Rank::kCentered) {
    mean = delta_matrix(job, 0);
    for (size_t i = 1; i < experts; ++i) mean += delta_matrix(job, i);
    mean /= static_cast<double>(experts);
  }
  Loss loss;
  for (size_t i = 0; i < experts; ++i) {
    const at::Tensor whole = delta_matrix(job, i);
    at::Tensor target = whole, gram;
    {
      const OneThread one;
      const double square = whole.square().sum().item<double>();
      if (square == 0) continue;  // it says nothing, and has no norm to divide by
      const at::Tensor rows = rank == Rank::kFull ? whole : leading(whole, experts);
      if (rank == Rank::kShare) target = rows;
      if (rank == Rank::kCentered) target = mean + leading(whole - mean, experts);
      gram = rows.t().mm(rows) * (factors[i] / (normalize ? square : 1));
    }
    if (!loss.start.defined())
      loss = {at::zeros_like(whole), at::zeros_like(gram), at::zeros_like(whole)};
    const auto divisor = start == Start::kMean ? static_cast<double>(experts) : 1.0;
    loss.start.add_(whole, 1 / divisor);
    loss.gram += gram;
    for_row_chunks(target, [&](int64_t first, int64_t count) {
      loss.right.narrow(0, first, count).addmm_(target.narrow(0, first, count), gram);
    });
  }
  return loss;
}

at::Tensor Wudi::leading(const at::Tensor& delta, size_t experts) {
  const int64_t rank = std::min(delta.size(0), delta.size(1));
  const int64_t share = std::max<int64_t>(1, rank / static_cast<int64_t>(experts));
  return factorize(delta, {.most = share}).product();
}

at::Tensor Wudi::descended(const Loss& loss) const {
  at::Tensor merged = loss.start;
  // The rows of m are independent of each other.
  for_row_chunks(merged, [&](int64_t first, int64_t count) {
    at::Tensor rows = merged.narrow(0, first, count);
    const at::Tensor right = loss.right.narrow(0, first, count);
    const auto gradient = [&] { return rows.mm(loss.gram).sub_(right).mul_(2); };
    if (solver == Solver::kSgd) {
      at::Tensor velocity = at::zeros_like(rows);
      for (int64_t step = 0; step < steps; ++step)
        rows.sub_(velocity.mul_(momentum).add_(gradient()), rate);
      return;
    }
    Adam adam(rows);
    for (int64_t step = 0; step < steps; ++step) adam.step(rows, gradient(), rate);
  });
  return merged;
}

at::Tensor Wudi::solved(const Loss& loss) const {
  at::Tensor inverse;
  {
    const OneThread one;
    const auto [values, vectors] = at::linalg_eigh(loss.gram);  // ascending
    const at::Tensor seen = values > cutoff * values[-1];
    const at::Tensor gains = at::where(seen, values, 1).reciprocal_() * seen;
    inverse = (vectors * gains).mm(vectors.t());
  }
  at::Tensor merged = at::empty_like(loss.right);
  for_row_chunks(merged, [&](int64_t first, int64_t count) {
    merged.narrow(0, first, count).copy_(loss.right.narrow(0, first, count).mm(inverse));
  });
  return merged;
}

at::Tensor Wudi::merge(const TensorJob& job) const {
  if (!matrices.applies(job)) return merge_other(job, others, scale);
  const Loss sums = loss(job);
  if (!sums.start.defined()) return job.base;
  return add_matrix(job, solver == Solver::kClosed ? solved(sums) : descended(sums), scale);
}

ASSAY_METHOD(Wudi)

}  // namespace
}  // namespace assay
