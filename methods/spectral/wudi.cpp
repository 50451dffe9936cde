#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
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
/// OptMerge takes each d_i for its leading singular components and begins at the mean.
///
/// With C = sum_i c_i d_i^T d_i and R = sum_i c_i d_i d_i^T d_i the gradient is 2 (m C - R),
/// whatever the number of experts.
struct Wudi {
  enum class Solver { kAdam, kSgd, kClosed };
  enum class Start { kSum, kMean };
  enum class Rank { kFull, kShare };

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
       "OptMerge (WUDI v2), arXiv:2505.19892, as its code for language models runs it; another of "
       "its files takes Adam with a rate of 1e-5"}};
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
             .choices = {"full", "share"},
             .help = "task vectors count as they are, or with as many leading singular components "
                     "as a matrix has for each expert (OptMerge)"});
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
  /// How many singular components each expert has, at least one.
  static int64_t share_of_rank(const TensorJob& job);
  at::Tensor descended(const Loss& loss) const;
  at::Tensor solved(const Loss& loss) const;
};

Wudi::Loss Wudi::loss(const TensorJob& job) const {
  const std::vector<double> factors = expert_weights(weights, job.experts.size());
  Loss loss;
  for (size_t i = 0; i < job.experts.size(); ++i) {
    at::Tensor delta = delta_matrix(job, i);
    at::Tensor gram;
    const at::Tensor whole = delta;
    {
      const OneThread one;
      const double square = delta.square().sum().item<double>();
      if (square == 0) continue;  // it says nothing, and has no norm to divide by
      if (rank == Rank::kShare) delta = factorize(delta, {.most = share_of_rank(job)}).product();
      gram = delta.t().mm(delta) * (factors[i] / (normalize ? square : 1));
    }
    if (!loss.start.defined())
      loss = {at::zeros_like(delta), at::zeros_like(gram), at::zeros_like(delta)};
    const auto divisor = start == Start::kMean ? static_cast<double>(job.experts.size()) : 1.0;
    loss.start.add_(whole, 1 / divisor);
    loss.gram += gram;
    for_row_chunks(delta, [&](int64_t first, int64_t count) {
      loss.right.narrow(0, first, count).addmm_(delta.narrow(0, first, count), gram);
    });
  }
  return loss;
}

int64_t Wudi::share_of_rank(const TensorJob& job) {
  const at::Tensor matrix = job.experts.front().flatten(1);
  const int64_t rank = std::min(matrix.size(0), matrix.size(1));
  return std::max<int64_t>(1, rank / static_cast<int64_t>(job.experts.size()));
}

at::Tensor Wudi::descended(const Loss& loss) const {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;  // Adam's defaults
  at::Tensor merged = loss.start;
  // The rows of m are independent of each other.
  for_row_chunks(merged, [&](int64_t first, int64_t count) {
    at::Tensor rows = merged.narrow(0, first, count);
    const at::Tensor right = loss.right.narrow(0, first, count);
    at::Tensor mean = at::zeros_like(rows), square = at::zeros_like(rows);
    double left1 = 1, left2 = 1;
    for (int64_t step = 0; step < steps; ++step) {
      const at::Tensor gradient = rows.mm(loss.gram).sub_(right).mul_(2);
      if (solver == Solver::kSgd) {
        mean.mul_(momentum).add_(gradient);
        rows.sub_(mean, rate);
        continue;
      }
      mean.mul_(kBeta1).add_(gradient, 1 - kBeta1);
      square.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
      left1 *= kBeta1;
      left2 *= kBeta2;
      const at::Tensor divisor = (square / (1 - left2)).sqrt_().add_(kEpsilon);
      rows.addcdiv_(mean, divisor, -rate / (1 - left1));
    }
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
