// DOGE on task arithmetic, against its loss by autograd.
#include <c10/core/GradMode.h>

#include <cmath>

#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr double kLambda = .07;

struct Plain {
  std::vector<at::Tensor> deltas;  ///< float64
  std::vector<double> weights;
  double all = 0;
  at::Tensor sum;

  explicit Plain(const std::vector<at::Tensor>& of) {
    for (const at::Tensor& delta : of) {
      deltas.push_back(delta.to(at::kDouble));
      weights.push_back(kLambda / deltas.back().norm().item<double>());
      all += weights.back();
      sum = sum.defined() ? sum + deltas.back() * weights.back() : deltas.back() * weights.back();
    }
  }
  at::Tensor loss(const at::Tensor& change) const {
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (const at::Tensor& delta : deltas)
      loss = loss + (-delta * sum - delta * change * all + delta * delta).sum(1).pow(2).sum();
    return loss;
  }
  /// Adam off the leading left directions of the leading directions of all.
  at::Tensor change(int steps, double rate, int64_t subspace) const {
    const int64_t rank = std::min(deltas[0].size(0), deltas[0].size(1));
    const auto each = rank / static_cast<int64_t>(deltas.size());
    std::vector<at::Tensor> leading;
    for (const at::Tensor& delta : deltas)
      leading.push_back(std::get<0>(at::linalg_svd(delta, false)).narrow(1, 0, each));
    const at::Tensor shared =
        std::get<0>(at::linalg_svd(at::cat(leading, 1), false)).narrow(1, 0, rank / subspace);
    at::Tensor d = at::zeros_like(sum), mean = d.clone(), square = d.clone();
    for (int step = 1; step <= steps; ++step) {
      const c10::AutoGradMode with_gradients(true);
      const at::Tensor leaf = d.detach().clone().requires_grad_(true);
      loss(leaf).backward();
      const at::Tensor gradient = leaf.grad() - shared.mm(shared.t().mm(leaf.grad()));
      mean = .9 * mean + .1 * gradient;
      square = .999 * square + .001 * gradient * gradient;
      d = d - rate * (mean / (1 - std::pow(.9, step))) /
                  ((square / (1 - std::pow(.999, step))).sqrt() + 1e-8);
    }
    return d;
  }
};

at::Tensor doge(const Json& parameters, const std::vector<at::Tensor>& deltas) {
  return merge("doge", parameters, one_tensor_inputs(at::zeros_like(deltas[0]), deltas)).at("w");
}

}  // namespace

TEST_CASE("DOGE without a step adds task vectors of one norm", "[methods]") {
  const std::vector<at::Tensor> deltas{noise({7, 6}, 1), 3 * noise({7, 6}, 2)};
  const at::Tensor merged = doge({{"steps", 0}, {"density", 1}}, deltas);
  CHECK(distance(merged, Plain(deltas).sum) < 1e-7);

  // Two of four entries: those of magnitude 4 and 3, and the tie at the threshold.
  const at::Tensor delta = at::tensor({4.0f, -3.0f, 1.0f, 2.0f}).view({2, 2});
  const double weight = kLambda / std::sqrt(30.0);
  CHECK(distance(doge({{"steps", 0}, {"density", .25}}, {delta}),
                 at::tensor({4.0f, -3.0f, 0.0f, 0.0f}).view({2, 2}) * weight) < 1e-7);
}

TEST_CASE("DOGE learns a common change by Adam, off shared directions", "[methods]") {
  const std::vector<at::Tensor> deltas{noise({7, 6}, 1), 3 * noise({7, 6}, 2)};
  const Plain plain(deltas);
  constexpr int kSteps = 12;
  constexpr double kRate = .01;
  const at::Tensor change = plain.change(kSteps, kRate, 3);
  at::Tensor expected = at::zeros_like(plain.sum);
  for (size_t i = 0; i < 2; ++i)
    expected = expected + (plain.deltas[i] + change) * plain.weights[i];

  const at::Tensor merged =
      doge({{"steps", kSteps}, {"rate", kRate}, {"subspace", 3}, {"density", 1}}, deltas);
  CHECK(distance(merged, expected) < 1e-7);
  CHECK(plain.loss(change).item<double>() < plain.loss(at::zeros_like(change)).item<double>());
}

TEST_CASE("DOGE leaves what is no matrix, and knows experts that are the base", "[methods]") {
  CHECK(distance(doge(Json::object(), {noise({8}, 1)}), at::zeros({8})) == 0);
  CHECK(distance(doge(Json::object(), {at::zeros({3, 3}), at::zeros({3, 3})}), at::zeros({3, 3})) ==
        0);
}
