#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("weighted_sum weighs each tensor", "[kernels]") {
  const at::Tensor a = at::tensor({1.0f, 2.0f, 3.0f}), b = at::tensor({4.0f, 0.0f, -3.0f});

  CHECK(at::equal(weighted_sum({a, b}, {2, -1}), at::tensor({-2.0f, 4.0f, 9.0f})));
  CHECK(at::equal(scaled_sum({a, b}, .5), at::tensor({2.5f, 1.0f, 0.0f})));
  CHECK(at::equal(weighted_sum({a}, {3}), at::tensor({3.0f, 6.0f, 9.0f})));
}

TEST_CASE("weighted_sum reads every storage dtype and any memory layout", "[kernels]") {
  const at::Tensor a = at::tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}).reshape({2, 3});

  for (const auto dtype :
       {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const at::Tensor sum = weighted_sum({a, a.to(dtype)}, {1, 2});
    CHECK(sum.scalar_type() == at::kFloat);
    CHECK(at::equal(sum, 3 * a));
  }
  CHECK(at::equal(weighted_sum({a.t()}, {1}), a.t()));
  CHECK(weighted_sum({at::empty({0, 3})}, {1}).sizes() == at::IntArrayRef({0, 3}));
  CHECK(weighted_sum({at::scalar_tensor(2.0f)}, {3}).item<float>() == 6.0f);
}

TEST_CASE("dot_products holds norms and inner products", "[kernels]") {
  const DotProducts products =
      dot_products({at::tensor({1.0f, 2.0f, 2.0f}), at::tensor({0.0f, 3.0f, 4.0f})});

  CHECK(products(0, 0) == 9);
  CHECK(products(1, 1) == 25);
  CHECK(products(0, 1) == 14);
  CHECK(products(1, 0) == 14);
}

TEST_CASE("sums over many blocks do not depend on threads", "[kernels]") {
  const std::vector<at::Tensor> tensors{noise({5 * kBlock + 17}, 1), noise({5 * kBlock + 17}, 2)};
  const Threads one(1);
  const DotProducts expected = dot_products(tensors);
  const at::Tensor sum = weighted_sum(tensors, {.3, .7});

  for (const int threads : {2, 3, 4}) {
    const Threads several(threads);
    CHECK(dot_products(tensors)(0, 1) == expected(0, 1));
    CHECK(dot_products(tensors)(1, 1) == expected(1, 1));
    CHECK(at::equal(weighted_sum(tensors, {.3, .7}), sum));
  }
  CHECK(expected(0, 1) ==
        Approx(tensors[0].to(at::kDouble).dot(tensors[1].to(at::kDouble)).item<double>()));
}

TEST_CASE("count_nonfinite counts NaN and infinities of every dtype", "[kernels]") {
  const at::Tensor values = at::tensor({1.0f, NAN, INFINITY, -INFINITY, 0.0f});

  for (const auto dtype :
       {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2})
    CHECK(count_nonfinite(values.to(dtype)) == 3);
  CHECK(count_nonfinite(at::tensor({1e300, 1.0}, at::kDouble)) == 1);
  CHECK(count_nonfinite(at::empty({0})) == 0);
}
