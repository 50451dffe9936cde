// A merge cut to the rank of one adapter, and PEFT's ways of merging adapters that do so.
#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The nearest matrix of a rank, by LAPACK.
at::Tensor nearest(const at::Tensor& matrix, int64_t rank) {
  const auto [u, s, v] = at::linalg_svd(matrix.to(at::kDouble), /*full_matrices=*/false);
  return (u.narrow(1, 0, rank) * s.narrow(0, 0, rank)).mm(v.narrow(0, 0, rank));
}

}  // namespace

TEST_CASE("a merge is cut to its leading singular components", "[methods][spectral]") {
  const at::Tensor one = diagonal({4, 0, 1, 0}), two = diagonal({0, 3, 0, 2});
  const auto of_rank = [&](int64_t rank) {
    return merge_deltas("low_rank@peft_svd", {{"rank", rank}}, {one, two});
  };
  CHECK(distance(of_rank(1), diagonal({4, 0, 0, 0})) < 1e-6);
  CHECK(distance(of_rank(3), diagonal({4, 3, 0, 2})) < 1e-6);
  CHECK(at::equal(of_rank(4), one + two));
  CHECK(at::equal(of_rank(99), one + two));
  const at::Tensor wide = noise({5, 9}, 1), other = noise({5, 9}, 2);
  CHECK(distance(merge_deltas("low_rank@peft_svd", {{"rank", 2}}, {wide, other}),
                 nearest(wide + other, 2)) < 2e-6);
}

TEST_CASE("the sum of adapters stays whole at the sum of their ranks", "[methods][spectral]") {
  const at::Tensor one = noise({8, 2}, 1).mm(noise({2, 6}, 2));
  const at::Tensor two = noise({8, 1}, 3).mm(noise({1, 6}, 4));
  CHECK(distance(merge_deltas("low_rank@peft_svd", {{"rank", 3}}, {one, two}), one + two) < 2e-6);
  CHECK(distance(merge_deltas("low_rank@peft_svd", {{"rank", 2}}, {one, two}), one + two) > 1e-2);
}

TEST_CASE("PEFT's merges of products are other methods' of each tensor, then cut",
          "[methods][spectral]") {
  const at::Tensor one = noise({5, 6}, 1), two = noise({5, 6}, 2);
  const auto trimmed = [](const at::Tensor& delta) {
    const at::Tensor least = std::get<0>(delta.abs().flatten().sort(0, /*descending=*/true))[14];
    return at::where(delta.abs() >= least, delta, 0.0F);
  };
  const Json parameters{{"of", {{"density", .5}}}, {"rank", 2}};
  CHECK(distance(merge_deltas("low_rank@peft_magnitude_prune_svd", parameters, {one, two}),
                 nearest(trimmed(one) + trimmed(two), 2)) < 2e-6);

  const at::Tensor a = trimmed(one), b = trimmed(two);
  const at::Tensor sign = at::where(a + b >= 0, 1.0F, -1.0F);
  const at::Tensor first = a.sign() == sign, second = b.sign() == sign;
  const at::Tensor count = first.to(at::kFloat) + second.to(at::kFloat);
  const at::Tensor mean = (a * first + b * second) / count.clamp_min(1);
  CHECK(distance(merge_deltas("low_rank@peft_ties_svd", parameters, {one, two}), nearest(mean, 2)) <
        2e-6);
}

TEST_CASE("a cut leaves vectors, excluded tensors and what did not change alone",
          "[methods][spectral]") {
  MergeInputs inputs;
  const StateDict deltas{{"b", noise({6}, 1)}, {"head.weight", noise({4, 6}, 2)}};
  inputs.base = source("base", {{"b", at::zeros({6})}, {"head.weight", at::zeros({4, 6})}});
  inputs.experts = {source("one", deltas)};
  const Json parameters{{"rank", 1}, {"exclude", {"head*"}}};
  CHECK(same_bytes(merge("low_rank@peft_svd", parameters, inputs), deltas));
  const at::Tensor base = noise({4, 6}, 3);
  CHECK(at::equal(
      merge("low_rank@peft_svd", {{"rank", 1}}, one_tensor_inputs(base, {base, base})).at("w"),
      base));
}

TEST_CASE("a cut merge counts what its formula says", "[methods][cost][spectral]") {
  constexpr double m = 192, n = 48, experts = 3, rank = 16;
  std::vector<at::Tensor> models;
  for (uint64_t i = 0; i < 3; ++i) models.push_back(noise({192, 48}, i));
  const int64_t before = counters::flops;
  merge("low_rank", {{"rank", 16}}, one_tensor_inputs(noise({192, 48}, 9), models));
  CHECK(static_cast<double>(counters::flops - before) ==
        Approx((2 * experts + 4 * rank + 4) * m * n + 2 * m * n * n + 9 * n * n * n).epsilon(.05));
}
