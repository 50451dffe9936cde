// The terms of DAM's loss.
#include "methods/learned/dam_penalty.h"
#include "methods/learned/imitation.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("equal scores have no loss and no gradient", "[methods]") {
  const at::Tensor scores = noise({5, 7}, 1) * 10;
  const ImitationLoss loss{.mse = 1};
  const ImitationLoss::Value value = loss(scores, {scores, {}});

  CHECK(value.loss == 0);
  CHECK(at::equal(value.gradient, at::zeros_like(scores)));
}

TEST_CASE("the KL divergence is from the expert, times the temperature's square", "[methods]") {
  // softmax(ln 3 / 1, 0) = (3/4, 1/4), and equal scores are (1/2, 1/2).
  const at::Tensor expert = at::tensor({std::log(9.), 0.}, at::kDouble).reshape({1, 2});
  const ImitationLoss loss;  // temperature 2
  const double divergence = .75 * std::log(1.5) + .25 * std::log(.5);

  CHECK(loss(at::zeros({1, 2}, at::kDouble), {expert, {}}).loss == Approx(4 * divergence));
}

TEST_CASE("the imitation loss has the gradient of finite differences", "[methods]") {
  const auto loss = GENERATE(ImitationLoss{}, ImitationLoss{.kl = 0, .mse = 2},
                             ImitationLoss{.kl = 0, .entropy = 3},
                             ImitationLoss{.kl = .5, .mse = .1, .entropy = .2, .temperature = .7});
  const at::Tensor all = noise({3, 5}, 2).to(at::kDouble) * 3;
  const ExpertScores expert = highest(all, GENERATE(0, 2));
  at::Tensor merged = noise({3, 5}, 3).to(at::kDouble) * 3;
  const at::Tensor gradient = loss(merged, expert).gradient;

  constexpr double kStep = 1e-5;
  for (int64_t i = 0; i < merged.numel(); ++i) {
    const at::Tensor entry = merged.view(-1)[i];
    entry.add_(kStep);
    const double above = loss(merged, expert).loss;
    entry.sub_(2 * kStep);
    const double below = loss(merged, expert).loss;
    entry.add_(kStep);
    CHECK(std::abs(gradient.view(-1)[i].item<double>() - (above - below) / (2 * kStep)) < 1e-8);
  }
}

TEST_CASE("the penalties on coefficients have values by hand", "[methods]") {
  const at::Tensor coefficients = at::tensor({1., -2., 2., 1.}, at::kDouble).reshape({2, 2});
  const at::Tensor angles = at::tensor({1., .5}, at::kDouble).reshape({1, 2});
  const auto value = [&](const DamPenalty& penalty) {
    return penalty(coefficients, angles).item<double>();
  };

  CHECK(value({.similarity = 2}) == Approx(0).margin(1e-12));  // (1, -2) and (2, 1)
  CHECK(value({.similarity = 0, .l1 = 2}) == Approx(12));
  CHECK(value({.similarity = 0, .l2 = 1}) == Approx(2 * std::sqrt(5)));
  CHECK(value({.similarity = 0, .overlap = 3}) == Approx(3 * (1 + 1)));
  CHECK(value({.similarity = 0, .weighted_overlap = 1}) == Approx(1 * 1 + .5 * 1));
  CHECK(DamPenalty{.similarity = 1}(at::ones({3, 2}, at::kDouble), {}).item<double>() == Approx(1));
  CHECK(DamPenalty{.similarity = 1}(at::ones({1, 2}, at::kDouble), {}).item<double>() == 0);
}

TEST_CASE("columns at 45 degrees weigh most in the overlap", "[methods]") {
  // Columns at 0, 45 and 90 degrees, and one of zeros.
  const at::Tensor one = at::tensor({1.f, 1.f, 1.f, 0.f, 0.f, 0.f, 0.f, 0.f}).reshape({2, 4});
  const at::Tensor two = at::tensor({3.f, 2.f, 0.f, 1.f, 0.f, 2.f, 5.f, 1.f}).reshape({2, 4});

  CHECK(distance(squared_sines({one, two}),
                 at::tensor({0., 1., 0., 0.}, at::kDouble).reshape({1, 4})) < 1e-6);
}
