#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/kernels/one_thread.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "methods/adam.h"
#include "methods/spectral/arrivals.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// DOP: experts arrive one after the other, and each is merged with what is merged so far. From
/// their mean Adam minimises a weighted sum of two losses, the distances to either where its task
/// vector U S V^T is large: |S U^T D|^2 + |D V S|^2, D the difference of the merge from it. The
/// weights are MGDA's: they make the sum of the gradients of the losses' logarithms shortest.
///
/// The weight of a loss may be 0 or 1; MGDA's published solver stops at 0.001 and 0.999.
struct Dop {
  enum class Balance { kMgda, kFixed };
  enum class Space { kBoth, kLeft, kRight };

  static constexpr MethodInfo info{
      .name = "dop",
      .paper = "https://openreview.net/forum?id=zD5cUX67b9 (NeurIPS 2025)",
      .summary = "experts merged one by one, each balanced with those before in both subspaces",
      .needs = {.base = true},
      .randomized = true,
      .flops = "(N - 1) (steps (16 m n^2 + 32 d) + 8 m n^2 + 18 n^3)"};
  static constexpr Preset presets[] = {
      {"fixed", R"({"balance": "fixed"})", "FusionBench's other rule: alpha is the weight"}};
  int64_t steps = 200;
  double rate = 1e-4;
  Balance balance = Balance::kMgda;
  double alpha = 0.8;
  double decay = 0.999;
  double share = 0.99999;
  Space space = Space::kBoth;
  Order order = Order::kShuffled;
  MatrixRule matrices{kEmbeddings};

  void parameters(auto&& p) {
    p(steps, {.name = "steps", .range = {0, 1000000}, .help = "of Adam for every arrival"});
    p(rate, {.name = "rate",
             .range = {0, 1},
             .sweep = {1e-4, 1e-3},
             .help = "Adam's learning rate; a step moves an entry by about as much at most"});
    p(balance, {.name = "balance",
                .choices = {"mgda", "fixed"},
                .help = "the weights of the two losses come from MGDA, as a moving average over "
                        "the steps, or stay as they begin"});
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.2, 0.5, 0.8},
              .help = "the weight that the loss of what is merged so far begins with; that of the "
                      "expert that arrives is the rest"});
    p(decay, {.name = "decay",
              .range = {0, 1},
              .help = "of the moving average; 0: MGDA's weights of each step. FusionBench's "
                      "configuration has 0.999, the default of its function is 0.99"});
    p(share, {.name = "share",
              .range = {0, 1},
              .help = "of the sum of a task vector's singular values, which the fewest leading "
                      "components that count reach; FusionBench's code counts one fewer"});
    p(space, {.name = "space",
              .choices = {"uv", "u", "v"},
              .help = "the losses look at directions of outputs and of inputs, or at one of them"});
    order_parameter(order, p);
    matrices.parameters(p);
  }

  bool randomized() const { return order == Order::kShuffled; }
  void prepare(const ModelJob& job) { arrivals_ = arrivals_of(job, order); }
  at::Tensor merge(const TensorJob& job) const;

 private:
  /// What one of the two is to the loss.
  struct Side {
    at::Tensor delta;  ///< its task vector, [rows, columns]
    at::Tensor left;   ///< U S, [rows, count]
    at::Tensor right;  ///< V S, [columns, count]
  };
  struct Slope {
    double loss;
    at::Tensor gradient;  ///< [rows, columns]
  };

  Side side(const at::Tensor& delta) const;
  Slope slope(const Side& side, const at::Tensor& merged) const;
  /// Of two task vectors.
  at::Tensor balanced(const at::Tensor& before, const at::Tensor& arrived) const;
  /// The weight c of the first, such that c g_1 + (1 - c) g_2 is shortest, where g are gradients
  /// divided by their losses.
  static double shortest(const Slope& first, const Slope& second);

  std::vector<size_t> arrivals_;
};

Dop::Side Dop::side(const at::Tensor& delta) const {
  const Svd factors = factorize(delta);
  int64_t kept = factors.count();
  if (kept > 0) {
    const at::Tensor sums = factors.s.cumsum(0);
    kept = std::min(kept, at::lt(sums, sums[-1] * share).sum().item<int64_t>() + 1);
  }
  const at::Tensor s = factors.s.narrow(0, 0, kept);
  return {delta, factors.u.narrow(1, 0, kept) * s, factors.v.narrow(1, 0, kept) * s};
}

Dop::Slope Dop::slope(const Side& side, const at::Tensor& merged) const {
  const at::Tensor difference = merged - side.delta;
  Slope slope{0, at::zeros_like(merged)};
  if (space != Space::kRight) {
    const at::Tensor seen = side.left.t().mm(difference);
    slope.loss += seen.square().sum().item<double>();
    slope.gradient.add_(side.left.mm(seen), 2);
  }
  if (space != Space::kLeft) {
    const at::Tensor seen = difference.mm(side.right);
    slope.loss += seen.square().sum().item<double>();
    slope.gradient.add_(seen.mm(side.right.t()), 2);
  }
  return slope;
}

double Dop::shortest(const Slope& first, const Slope& second) {
  const auto product = [](const Slope& a, const Slope& b) {
    return (a.gradient * b.gradient).sum().item<double>() / (a.loss * b.loss);
  };
  const double one = product(first, first), both = product(first, second),
               two = product(second, second);
  if (both >= one) return 1;
  if (both >= two) return 0;
  return (two - both) / (one + two - 2 * both);
}

at::Tensor Dop::balanced(const at::Tensor& before, const at::Tensor& arrived) const {
  const Side first = side(before), second = side(arrived);
  at::Tensor merged = (before + arrived) / 2;
  Adam adam(merged);
  double weight = alpha;
  for (int64_t step = 0; step < steps; ++step) {
    const Slope kept = slope(first, merged), learned = slope(second, merged);
    // A loss of 0 has no logarithm, and nothing to balance.
    if (balance == Balance::kMgda && kept.loss > 0 && learned.loss > 0)
      weight = decay * weight + (1 - decay) * shortest(kept, learned);
    adam.step(merged, kept.gradient * weight + learned.gradient * (1 - weight), rate);
  }
  return merged;
}

at::Tensor Dop::merge(const TensorJob& job) const {
  if (!matrices.applies(job)) {  // the mean of each with what is merged so far
    std::vector<double> weights(job.experts.size());
    double half = 1;
    for (size_t k = arrivals_.size(); k-- > 1;) {
      half /= 2;
      weights[arrivals_[k]] = half;
    }
    weights[arrivals_.front()] = half;
    return weighted_sum(job.experts, weights);
  }
  const OneThread one;
  at::Tensor merged = delta_matrix(job, arrivals_.front());
  for (size_t k = 1; k < arrivals_.size(); ++k)
    merged = balanced(merged, delta_matrix(job, arrivals_[k]));
  return add_matrix(job, merged, 1);
}

ASSAY_METHOD(Dop)

}  // namespace
}  // namespace assay
