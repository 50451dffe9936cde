// WUDI: steps of Adam on its loss, and the minimum in closed form.
#include <cmath>

#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The gradient of sum_i |(m - d_i) d_i^T|^2 / |d_i|^2, expert by expert.
at::Tensor plain_gradient(const at::Tensor& m, const std::vector<at::Tensor>& deltas) {
  at::Tensor gradient = at::zeros_like(m);
  for (const at::Tensor& delta : deltas)
    gradient += 2 * (m - delta).mm(delta.t()).mm(delta) / delta.square().sum();
  return gradient;
}

double plain_loss(const at::Tensor& m, const std::vector<at::Tensor>& deltas) {
  double loss = 0;
  for (const at::Tensor& delta : deltas)
    loss += ((m - delta).mm(delta.t()).square().sum() / delta.square().sum()).item<double>();
  return loss;
}

std::vector<at::Tensor> in_double(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> wide;
  for (const at::Tensor& tensor : tensors) wide.push_back(tensor.to(at::kDouble));
  return wide;
}

}  // namespace

TEST_CASE("WUDI starts at the sum, and Adam's first step is the rate", "[methods]") {
  // Numbers: the loss is (m - 1)^2 + (m - 3)^2, which falls from the sum 4 to the mean 2.
  const std::vector<at::Tensor> deltas{at::full({1, 1}, 1.0f), at::full({1, 1}, 3.0f)};
  CHECK(merge_deltas("wudi", {{"steps", 0}}, deltas).item<float>() == 4);
  CHECK(merge_deltas("wudi", {{"steps", 1}, {"rate", .25}}, deltas).item<float>() == Approx(3.75));
  CHECK(merge_deltas("wudi@closed", Json::object(), deltas).item<float>() == Approx(2));
  CHECK(merge_deltas("wudi@actmat", Json::object(), deltas).item<float>() ==
        Approx(2.8));  // 28 / 10
}

TEST_CASE("WUDI's steps are Adam's on the loss as it is written", "[methods]") {
  const std::vector<at::Tensor> deltas{noise({300, 5}, 1), 2 * noise({300, 5}, 2),
                                       noise({300, 5}, 3)};
  const std::vector<at::Tensor> wide = in_double(deltas);
  constexpr int kSteps = 20;
  constexpr double kRate = .01;
  at::Tensor m = wide[0] + wide[1] + wide[2], mean = at::zeros_like(m), square = mean.clone();
  for (int step = 1; step <= kSteps; ++step) {
    const at::Tensor gradient = plain_gradient(m, wide);
    mean = .9 * mean + .1 * gradient;
    square = .999 * square + .001 * gradient.square();
    m = m - kRate * (mean / (1 - std::pow(.9, step))) /
                ((square / (1 - std::pow(.999, step))).sqrt() + 1e-8);
  }
  CHECK(distance(merge_deltas("wudi", {{"steps", kSteps}, {"rate", kRate}}, deltas), m) < 1e-6);
}

TEST_CASE("WUDI's closed form is where the gradient vanishes and steps lead", "[methods]") {
  const std::vector<at::Tensor> deltas{noise({6, 4}, 1), noise({6, 4}, 2)};
  const std::vector<at::Tensor> wide = in_double(deltas);
  const at::Tensor closed = merge_deltas("wudi@closed", Json::object(), deltas).to(at::kDouble);
  const at::Tensor stepped =
      merge_deltas("wudi", {{"steps", 3000}, {"rate", 2e-3}}, deltas).to(at::kDouble);

  CHECK(plain_gradient(closed, wide).abs().max().item<double>() < 1e-5);
  CHECK(plain_loss(stepped, wide) < plain_loss(closed, wide) + 1e-4);
}

TEST_CASE("WUDI's closed form of copies, scaled and orthogonal task vectors", "[methods]") {
  const at::Tensor delta = noise({3, 8}, 1), other = noise({3, 8}, 2);
  const at::Tensor left = at::cat({delta.narrow(1, 0, 4), at::zeros({3, 4})}, 1);
  const at::Tensor right = at::cat({at::zeros({3, 4}), other.narrow(1, 4, 4)}, 1);
  for (const char* ref : {"wudi@closed", "wudi@actmat"}) {
    const auto closed = [&](const std::vector<at::Tensor>& deltas) {
      return merge_deltas(ref, Json::object(), deltas);
    };
    CHECK(distance(closed({delta}), delta) < 1e-6);
    CHECK(distance(closed({delta, delta, delta}), delta) < 1e-6);
    CHECK(distance(closed({left, right}), left + right) < 1e-6);
    CHECK(distance(closed({1e-3f * delta, 1e-3f * other}), 1e-3f * closed({delta, other})) < 1e-8);
  }
}

TEST_CASE("WUDI passes over experts that are the base, and averages what is no matrix",
          "[methods]") {
  const at::Tensor delta = noise({3, 8}, 1), vector = noise({8}, 2);
  CHECK(distance(merge_deltas("wudi@closed", Json::object(), {delta, at::zeros({3, 8})}), delta) <
        1e-6);
  CHECK(at::equal(merge_deltas("wudi", Json::object(), {at::zeros({2, 2})}), at::zeros({2, 2})));
  CHECK(distance(merge_deltas("wudi", Json::object(), {vector, 3 * vector}), 2 * vector) < 1e-6);
}

TEST_CASE("OptMerge goes by SGD from the mean to the leading components", "[methods]") {
  // A share of one component for each of two experts; rows span what the loss sees.
  const std::vector<at::Tensor> deltas{noise({3, 2}, 1), noise({3, 2}, 2)};
  const std::vector<at::Tensor> wide = in_double(deltas);
  std::vector<at::Tensor> leading;
  for (const at::Tensor& delta : wide) {
    const auto [u, s, v] = at::linalg_svd(delta, /*full_matrices=*/false);
    leading.push_back(u.narrow(1, 0, 1).mm(v.narrow(0, 0, 1)) * s[0]);
  }
  constexpr double kRate = .05;
  at::Tensor m = (wide[0] + wide[1]) / 2, velocity = at::zeros_like(m);
  CHECK(distance(merge_deltas("wudi@optmerge", {{"steps", 0}}, deltas), m) < 1e-6);
  for (int step = 0; step < 7; ++step) {
    at::Tensor gradient = at::zeros_like(m);
    for (size_t i = 0; i < 2; ++i)
      gradient += 2 * (m - leading[i]).mm(leading[i].t()).mm(leading[i]) / wide[i].square().sum();
    velocity = .9 * velocity + gradient;
    m = m - kRate * velocity;
  }
  CHECK(distance(merge_deltas("wudi@optmerge", {{"steps", 7}, {"rate", kRate}}, deltas), m) < 1e-6);
}

TEST_CASE("OptMerge, centered, goes by Adam from the sum to cut differences from the mean",
          "[methods]") {
  // A share of one component for each of two experts. The target of each is the mean and the
  // leading component of its difference from that; the loss sees its own leading component.
  const std::vector<at::Tensor> deltas{noise({3, 2}, 1), noise({3, 2}, 2)};
  const std::vector<at::Tensor> wide = in_double(deltas);
  const at::Tensor average = (wide[0] + wide[1]) / 2;
  const auto leading = [](const at::Tensor& matrix) {
    const auto [u, s, v] = at::linalg_svd(matrix, /*full_matrices=*/false);
    return u.narrow(1, 0, 1).mm(v.narrow(0, 0, 1)) * s[0];
  };
  constexpr double kRate = .05;
  at::Tensor m = wide[0] + wide[1], mean = at::zeros_like(m), square = mean.clone();
  CHECK(distance(merge_deltas("wudi@optmerge_centered", {{"steps", 0}}, deltas), m) < 1e-6);
  for (int step = 1; step <= 7; ++step) {
    at::Tensor gradient = at::zeros_like(m);
    for (const at::Tensor& delta : wide) {
      const at::Tensor rows = leading(delta), target = average + leading(delta - average);
      gradient += 2 * (m - target).mm(rows.t()).mm(rows) / delta.square().sum();
    }
    mean = .9 * mean + .1 * gradient;
    square = .999 * square + .001 * gradient.square();
    m = m - kRate * (mean / (1 - std::pow(.9, step))) /
                ((square / (1 - std::pow(.999, step))).sqrt() + 1e-8);
  }
  CHECK(distance(merge_deltas("wudi@optmerge_centered", {{"steps", 7}, {"rate", kRate}}, deltas),
                 m) < 1e-6);
}

TEST_CASE("OptMerge aims at leading components, or at the mean and cut differences from it",
          "[methods]") {
  const auto closed = [](const char* rank, const std::vector<at::Tensor>& deltas) {
    return merge_deltas("wudi@closed", {{"rank", rank}}, deltas);
  };
  // Two experts have one of two singular values each, and these no more: nothing is cut.
  const at::Tensor first = at::tensor({2.0f, 0.0f, 0.0f, 0.0f}).reshape({2, 2});
  const at::Tensor second = at::tensor({0.0f, 0.0f, 0.0f, 3.0f}).reshape({2, 2});
  CHECK(distance(closed("share", {first, second}), first + second) < 1e-6);
  // The difference of copies from their mean is 0, so that the target is the whole task vector, in
  // the one direction that the loss sees.
  const at::Tensor copy = at::diag(at::tensor({3.0f, 1.0f}));
  CHECK(distance(closed("centered", {copy, copy}), at::diag(at::tensor({3.0f, 0.0f}))) < 1e-6);
  // The differences from the mean are diag(1, -1.5) and its negative, of which the second entry is
  // kept. The first expert's loss sees the first entry, where its target is the mean, 1, and the
  // second one's the second, where its target is whole.
  CHECK(distance(closed("centered", {first, second}), at::diag(at::tensor({1.0f, 3.0f}))) < 1e-6);
}
