// Closed forms on truncated or filtered spectra: STAR, CART and IWUDI.
#include <cmath>

#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;

namespace {

double sum_of_singular_values(const at::Tensor& matrix) {
  return at::linalg_svdvals(matrix.to(at::kDouble)).sum().item<double>();
}

}  // namespace

TEST_CASE("STAR keeps the fewest components with a share of the nuclear norm",
          "[methods][spectral]") {
  const at::Tensor delta = diagonal({4, 3, 2, 1});
  const auto star = [&](double eta) { return merge_deltas("star", {{"eta", eta}}, {delta}); };

  CHECK(distance(star(0), diagonal({10, 0, 0, 0})) < kSpectralTolerance);
  CHECK(distance(star(39), diagonal({10, 0, 0, 0})) < kSpectralTolerance);
  CHECK(distance(star(41), diagonal({40 / 7.f, 30 / 7.f, 0, 0})) < kSpectralTolerance);
  CHECK(distance(star(100), delta) < kSpectralTolerance);
  CHECK(distance(merge_deltas("star", {{"eta", 39}}, {delta, at::zeros({4, 4})}),
                 diagonal({5, 0, 0, 0})) < kSpectralTolerance);
}

TEST_CASE("STAR keeps the nuclear norm of a task vector", "[methods][spectral]") {
  const at::Tensor delta = noise({9, 13}, 1);
  for (const double eta : {5., 40., 80.})
    CHECK(sum_of_singular_values(merge_deltas("star", {{"eta", eta}}, {delta})) ==
          Approx(sum_of_singular_values(delta)));
}

TEST_CASE("CART adds low-rank differences to the experts' mean", "[methods][spectral]") {
  const std::vector<at::Tensor> experts{diagonal({6, 2}), diagonal({0, 0})};
  const auto cart = [&](const Json& parameters) {
    return merge("cart", parameters, one_tensor_inputs({}, experts)).at("w");
  };

  CHECK(distance(cart({{"weights", {1, 0}}}), diagonal({4.5f, 1})) < kSpectralTolerance);
  CHECK(distance(cart({{"weights", {1, 0}}, {"rank", 2}}), diagonal({4.5f, 1.5f})) <
        kSpectralTolerance);
  CHECK(distance(cart({{"weights", {1, 0}}, {"rank", 0.1}}), diagonal({4.5f, 1})) <
        kSpectralTolerance);
  // Whole differences from the mean add up to zero.
  CHECK(distance(cart({{"rank", 1}, {"scale", 1}}), diagonal({3, 1})) < kSpectralTolerance);
}

TEST_CASE("IWUDI follows the gradient flow of WUDI's loss", "[methods][spectral]") {
  // One entry, twice 2: from 4 towards 2 with the rate 2.
  const std::vector<at::Tensor> twice(2, at::full({1, 1}, 2.0f));
  const auto entry = [&](const Json& parameters) {
    return merge_deltas("iwudi", parameters, twice).item<double>();
  };

  CHECK(entry({{"time", 0}}) == 4);
  CHECK(entry({{"time", 1}}) == Approx(2 + 2 * std::exp(-2.0)));
  CHECK(entry({{"time", 1e9}}) == Approx(2));
  CHECK(entry({{"filter", "tikhonov"}, {"ridge", 2}}) == Approx(3));
  CHECK(entry({{"filter", "landweber"}, {"iterations", 1}}) == Approx(4 - 2 * 0.9));
}

TEST_CASE("IWUDI's limit solves WUDI's equations", "[methods][spectral]") {
  std::vector<at::Tensor> deltas;
  at::Tensor weights = at::zeros({8, 8}, at::kDouble), right = at::zeros({6, 8}, at::kDouble);
  for (uint64_t i = 0; i < 3; ++i) {
    deltas.push_back(noise({6, 8}, i));
    const at::Tensor delta = deltas.back().to(at::kDouble);
    const at::Tensor gram = delta.t().mm(delta) / delta.square().sum();
    weights += gram;
    right += delta.mm(gram);
  }
  const at::Tensor solution = at::linalg_solve(weights, right.t()).t();
  const at::Tensor limit = merge_deltas("iwudi", {{"time", 1e9}}, deltas);

  CHECK(distance(limit, solution) < kSpectralTolerance);
  CHECK(distance(merge_deltas("iwudi", {{"filter", "tikhonov"}, {"ridge", 0}}, deltas), solution) <
        kSpectralTolerance);
  std::vector<at::Tensor> tripled;
  for (const at::Tensor& delta : deltas) tripled.push_back(3 * delta);
  CHECK(distance(merge_deltas("iwudi", {{"time", 1e9}}, tripled), 3 * solution) <
        3 * kSpectralTolerance);
}

TEST_CASE("IWUDI keeps the sum of task vectors of orthogonal inputs", "[methods][spectral]") {
  at::Tensor first = noise({5, 8}, 1), second = noise({5, 8}, 2);
  first.narrow(1, 4, 4).zero_();
  second.narrow(1, 0, 4).zero_();

  for (const double time : {1., 300., 1e9})
    CHECK(distance(merge_deltas("iwudi", {{"time", time}}, {first, second}), first + second) <
          kSpectralTolerance);
}

TEST_CASE("directions that IWUDI's cut leaves out stay as in the sum", "[methods][spectral]") {
  const std::vector<at::Tensor> twice(2, diagonal({2, 0.02f, 0.01f}));
  const Json exact{{"filter", "tikhonov"}, {"ridge", 0}};
  const auto cut = [&](Json parameters) {
    parameters.update(exact);
    return merge_deltas("iwudi", parameters, twice);
  };

  CHECK(distance(cut({{"cut", "share"}, {"share", 0.3}}), diagonal({2, 0.04f, 0.02f})) <
        kSpectralTolerance);
  CHECK(distance(cut({{"cut", "share"}, {"share", 0.4}}), diagonal({2, 0.02f, 0.02f})) <
        kSpectralTolerance);
  // (2 + 0.02 + 0.01)^2 / (4 + 0.0004 + 0.0001) = 1.03: two directions.
  CHECK(distance(cut({{"cut", "participation"}}), diagonal({2, 0.02f, 0.02f})) <
        kSpectralTolerance);
  CHECK(distance(merge_deltas("iwudi@aswudi", Json::object(), twice), diagonal({2, 0.02f, 0.02f})) <
        kSpectralTolerance);
}

TEST_CASE("DRM elects signs among renormalised parts of common directions", "[methods][spectral]") {
  // One input direction; lengths 5 and 13 return after the entries have been compared.
  const std::vector<at::Tensor> deltas{at::tensor({3.0f, 4.0f, 0.0f}).reshape({3, 1}),
                                       at::tensor({-5.0f, 12.0f, 0.0f}).reshape({3, 1})};
  const auto column = [](float a, float b, float c) {
    return at::tensor({a, b, c}).reshape({3, 1});
  };

  CHECK(distance(merge_deltas("drm", {{"drop", 0}}, deltas), column(-5, 8, 0)) <
        kSpectralTolerance);
  // Shares of a length: 0.6, 0.8, 0 and 0.38, 0.92, 0. Keeps what reaches the fourth smallest.
  CHECK(distance(merge_deltas("drm", {{"drop", 4 / 6.0}}, deltas), column(3, 8, 0)) <
        kSpectralTolerance);
  std::vector<at::Tensor> transposed;
  for (const at::Tensor& delta : deltas) transposed.push_back(delta.t().contiguous());
  CHECK(distance(merge_deltas("drm@horizontal", {{"drop", 4 / 6.0}}, transposed),
                 column(3, 8, 0).t()) < kSpectralTolerance);
}

TEST_CASE("DRM leaves out small directions, and elects in what is no matrix",
          "[methods][spectral]") {
  const std::vector<at::Tensor> deltas{diagonal({2, 0.01f}), diagonal({2, 0.01f})};
  CHECK(distance(merge_deltas("drm", {{"drop", 0}}, deltas), diagonal({2, 0})) <
        kSpectralTolerance);
  CHECK(distance(merge_deltas("drm", {{"drop", 0}, {"cut", 0}}, deltas), diagonal({2, 0.01f})) <
        kSpectralTolerance);

  const std::vector<at::Tensor> biases{at::tensor({3.0f, 0.0f, 1.0f, 1.0f}),
                                       at::tensor({-1.0f, 2.0f, 2.0f, -1.0f})};
  CHECK(
      at::equal(merge_deltas("drm", Json::object(), biases), at::tensor({3.0f, 2.0f, 1.5f, 1.0f})));
  CHECK(at::equal(merge_deltas("drm", {{"others", "mean"}}, biases),
                  at::tensor({1.0f, 1.0f, 1.5f, 0.0f})));
  CHECK(at::equal(merge_deltas("drm", {{"others", "base"}}, biases), at::zeros({4})));
}
