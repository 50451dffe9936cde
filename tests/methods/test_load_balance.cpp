#include "methods/moe/load_balance.h"

#include <ATen/ATen.h>

#include <cmath>

#include "tests/catch.h"

using namespace assay;

TEST_CASE("load balancing is a product of means", "[methods][moe]") {
  // Softmaxes (1/2, 1/4, 1/4) and (1/5, 3/5, 1/5): means 0.35, 0.425 and 0.225. Of the two
  // largest, weights (2/3, 1/3, 0) and (1/4, 3/4, 0): means 11/24, 13/24 and 0.
  const at::Tensor logits =
      at::tensor({std::log(2.), 0.1e-9, 0., 0.1e-9, std::log(3.), 0.}).view({2, 3});
  const double wanted = 3 * (11. / 24 * 0.35 + 13. / 24 * 0.425);
  CHECK(load_balance(logits, 2).item<double>() == Approx(wanted).epsilon(1e-6));
  // The mean of products would be another.
  const double of_products = 3 * ((2. / 3 * 0.5 + 1. / 3 * 0.25) + (0.25 * 0.2 + 0.75 * 0.6)) / 2;
  CHECK(std::abs(wanted - of_products) > 0.1);
}

TEST_CASE("load balancing is 1 when tokens are spread evenly and N when one expert has all",
          "[methods][moe]") {
  const at::Tensor even = at::eye(4, at::kDouble) * 7;
  CHECK(load_balance(even, 1).item<double>() == Approx(1));
  const at::Tensor one = at::zeros({5, 4}, at::kDouble);
  one.select(1, 2).fill_(50);
  CHECK(load_balance(one, 1).item<double>() == Approx(4));
  CHECK(load_balance(one, 4).item<double>() == Approx(4));
}

TEST_CASE("gradients reach logits through both factors of load balancing", "[methods][moe]") {
  const at::Tensor logits =
      at::tensor({0.3, -0.2, 0.9, 1.1, 0.4, -0.5}).view({2, 3}).requires_grad_(true);
  load_balance(logits, 2).backward();
  for (int64_t i = 0; i < 6; ++i) {
    const auto moved = [&](double by) {
      at::Tensor other = logits.detach().clone();
      other.view({-1})[i] += by;
      return load_balance(other, 2).item<double>();
    };
    CHECK(logits.grad().view({-1})[i].item<double>() ==
          Approx((moved(1e-5) - moved(-1e-5)) / 2e-5).margin(1e-8));
  }
}
