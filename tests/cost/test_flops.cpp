#include <ATen/ATen.h>

#include <thread>

#include "tests/catch.h"
#include "tests/cost/flops_of.h"

using namespace assay;

TEST_CASE("a matrix product counts two per multiply-add, once", "[cost]") {
  const at::Tensor a = at::ones({3, 4}), b = at::ones({4, 5}), bias = at::ones({5});

  CHECK(flops_of([&] { at::mm(a, b); }) == 2 * 3 * 4 * 5);
  CHECK(flops_of([&] { at::matmul(a, b); }) == 2 * 3 * 4 * 5);
  CHECK(flops_of([&] { at::linear(a, b.t(), bias); }) == 2 * 3 * 4 * 5 + 3 * 5);
  CHECK(flops_of([&] { at::bmm(at::ones({7, 3, 4}), at::ones({7, 4, 5})); }) == 7 * 2 * 3 * 4 * 5);
  CHECK(flops_of([&] { at::mv(a, at::ones({4})); }) == 2 * 3 * 4);
  CHECK(flops_of([&] { at::dot(at::ones({6}), at::ones({6})); }) == 2 * 6);
}

TEST_CASE("element-wise work counts one per operation and element of the result", "[cost]") {
  const at::Tensor a = at::ones({3, 1}), b = at::ones({4});

  CHECK(flops_of([&] { at::add(a, b); }) == 12);
  CHECK(flops_of([&] { at::add(a, b, 0.5); }) == 24);
  CHECK(flops_of([&] { at::mul(b, 3.0); }) == 4);
  CHECK(flops_of([&] { b.clone().sub_(b); }) == 4);
  CHECK(flops_of([&] { at::lerp(b, b, 0.5); }) == 12);
  CHECK(flops_of([&] { b.clone().addcmul_(b, b, 0.5); }) == 12);
  at::Tensor out = at::empty({0});
  CHECK(flops_of([&] { at::add_out(out, a, b); }) == 12);
}

TEST_CASE("reductions count one per input element", "[cost]") {
  CHECK(flops_of([] { at::ones({3, 4}).sum(0); }) == 12);
  CHECK(flops_of([] { at::ones({3, 4}).mean(); }) == 12);
  CHECK(flops_of([] { at::softmax(at::ones({3, 4}), 1); }) == 5 * 12);
  CHECK(flops_of([] { at::max_pool2d(at::ones({2, 3, 6, 6}), 2); }) == 2 * 3 * 3 * 3 * 4);
}

TEST_CASE("moving and integer work counts nothing", "[cost]") {
  CHECK(flops_of([] { at::ones({3, 4}).t().contiguous().reshape({12}).to(at::kDouble); }) == 0);
  CHECK(flops_of([] { at::arange(12).mul(3).sum(); }) == 0);
}

TEST_CASE("gradients that are added up count one per element", "[cost]") {
  const at::Tensor ids = at::tensor({0, 2, 2}, at::kLong);
  const at::Tensor table = at::ones({3, 4}).requires_grad_(true);
  const at::Tensor looked_up = at::embedding(table, ids).sum();
  CHECK(flops_of([&] { looked_up.backward(); }) == 3 * 4);
  const at::Tensor selected = table.index_select(0, ids).sum();
  CHECK(flops_of([&] { selected.backward(); }) == 3 * 4 + 3 * 4);  // and to the gradient before
  CHECK(flops_of([] { at::im2col(at::ones({1, 2, 4, 4}), {3, 3}, {1, 1}, {0, 0}, {1, 1}); }) == 0);
}

TEST_CASE("convolutions count the filter once per element of the result", "[cost]") {
  const at::Tensor images = at::ones({2, 3, 9, 9});
  const at::Tensor weight = at::ones({4, 3, 3, 3}).requires_grad_(true), bias = at::ones({4});

  // (9 + 2 * 1 - 3) / 2 + 1 = 5 positions per axis.
  CHECK(flops_of([&] { at::conv2d(images, weight, bias, 2, 1); }) ==
        2 * 4 * 5 * 5 * (2 * 3 * 3 * 3 + 1));
  CHECK(flops_of([&] {
          at::conv2d(images, at::ones({6, 1, 3, 3}), at::Tensor(), 1, 2, 1, 3);
        }) == 2 * 6 * 11 * 11 * 2 * 9);
  CHECK(flops_of([&] {
          at::conv_transpose2d(at::ones({2, 4, 5, 5}), at::ones({4, 3, 3, 3}));
        }) == 2 * 4 * 5 * 5 * 2 * 3 * 3 * 3);

  // Backward: only the weight requires a gradient. sum() backward expands, which is not arithmetic.
  const at::Tensor loss = at::conv2d(images, weight, bias, 2, 1).sum();
  CHECK(flops_of([&] { loss.backward(); }) == 2 * 4 * 5 * 5 * 2 * 3 * 3 * 3);
}

TEST_CASE("a forward pass of small_cnn costs as in the formula", "[cost]") {
  const auto cnn = architecture_of(
      {{"model_type", "small_cnn"}, {"classes", 10}, {"channels", 4}, {"hidden", 6}});
  const StateDict weights = cnn->initial_weights(1);
  const at::Tensor images = at::ones({5, 1, 28, 28});

  const int64_t conv1 = 4 * 784 * (2 * 9 + 1), pool1 = 4 * 196 * 4, relu1 = 4 * 196;
  const int64_t conv2 = 8 * 196 * (2 * 9 * 4 + 1), pool2 = 8 * 49 * 4, relu2 = 8 * 49;
  const int64_t hidden = 6 * (2 * 8 * 49 + 1) + 6, head = 10 * (2 * 6 + 1);
  CHECK(flops_of([&] { cnn->logits(weights, images); }) ==
        5 * (conv1 + pool1 + relu1 + conv2 + pool2 + relu2 + hidden + head));
}

TEST_CASE("a training step of an mlp costs as in the formula", "[cost]") {
  const int64_t n = 8, i = 5, h = 3, c = 4;
  const auto mlp =
      architecture_of({{"model_type", "mlp"}, {"inputs", 5}, {"hidden", 3}, {"classes", 4}});
  StateDict weights = mlp->initial_weights(1);
  for (auto& [name, tensor] : weights) tensor.requires_grad_(true);
  const at::Tensor x = at::ones({n, i}), y = at::zeros({n}, at::kLong);

  const int64_t forward = n * h * (2 * i + 1) + n * h + n * c * (2 * h + 1) + 5 * n * c;
  const int64_t head = n * c + 2 * (2 * n * c * h);      // gradients of bias, weight and input
  const int64_t hidden = n * h + n * h + 2 * n * h * i;  // of ReLU, bias and weight
  at::Tensor loss;
  CHECK(flops_of([&] { loss = at::cross_entropy_loss(mlp->logits(weights, x), y); }) == forward);
  CHECK(flops_of([&] { loss.backward(); }) == 4 * n * c + head + hidden);
}

TEST_CASE("work of several threads is all counted", "[cost]") {
  const auto work = [] {
    for (int i = 0; i < 100; ++i) at::mm(at::ones({2, 2}), at::ones({2, 2}));
  };
  CHECK(flops_of([&] {
          std::thread other(work);
          work();
          other.join();
        }) == 2 * 100 * 2 * 2 * 2 * 2);
}

TEST_CASE("decompositions and solves count as in the textbook", "[cost]") {
  // Well conditioned: [4, 4] with 5 on the diagonal.
  const at::Tensor square = at::ones({4, 4}) + 4 * at::eye(4), tall = at::rand({6, 4});
  const at::Tensor two = at::stack({square, square}), sides = at::ones({4, 3});

  CHECK(flops_of([&] { at::linalg_svd(tall, false); }) == 14 * 6 * 16 + 8 * 64);
  CHECK(flops_of([&] { at::linalg_svdvals(tall); }) == 4 * 6 * 16 - 4 * 64 / 3);
  CHECK(flops_of([&] { at::linalg_eigh(square); }) == 9 * 64);
  CHECK(flops_of([&] { at::linalg_eigh(two); }) == 2 * 9 * 64);
  CHECK(flops_of([&] { at::linalg_qr(tall); }) == 2 * (2 * 16 * 6 - 2 * 64 / 3));
  CHECK(flops_of([&] { at::linalg_cholesky(square); }) == 64 / 3);
  CHECK(flops_of([&] { at::linalg_solve(square, sides); }) == 4 * 16 - 64 / 3 + 2 * 16 * 3);
  CHECK(flops_of([&] { at::linalg_inv(square); }) == 2 * 64);
  CHECK(flops_of([&] { at::linalg_solve_triangular(square, sides, true); }) == 16 * 3);
  const at::Tensor factor = at::linalg_cholesky(square);
  CHECK(flops_of([&] { at::cholesky_solve(sides, factor); }) == 2 * 16 * 3);
  CHECK(flops_of([&] { at::cholesky_inverse(factor); }) == 2 * 64 / 3);
  CHECK(flops_of([&] {
          at::linalg_solve(two, at::stack({sides, sides}));
        }) == 2 * (4 * 16 - 64 / 3 + 2 * 16 * 3));
  CHECK(flops_of([&] { at::linalg_eigvalsh(square); }) == 4 * 64 / 3);
  CHECK(flops_of([&] { at::linalg_pinv(square); }) > 14 * 64 + 8 * 64);
  CHECK(flops_of([&] {
          at::linalg_lstsq(tall, at::ones({6, 3}));
        }) == 2 * 16 * 6 - 2 * 64 / 3 + 4 * 4 * 6 * 3);
}

TEST_CASE("fused attention counts its two products and the softmax", "[cost]") {
  const at::Tensor query = at::rand({2, 3, 5, 8}), keys = at::rand({2, 3, 7, 8});
  const int64_t scores = 2 * 3 * 5 * 7;
  CHECK(flops_of([&] { at::_scaled_dot_product_flash_attention_for_cpu(query, keys, keys); }) ==
        scores * (4 * 8 + 5));
}

TEST_CASE("FLOPs of an operator that is in no table are unknown, not zero", "[cost]") {
  const at::Tensor values = at::rand({4, 4});
  const auto cost_of = [](const auto& work) {
    Meter meter;
    work();
    return meter.stop();
  };

  CHECK_FALSE(cost_of([&] { at::digamma(values); }).flops.has_value());
  CHECK(cost_of([&] { at::mm(values, values); }).flops == 2 * 64);
  // Composed of operators with a count, or without arithmetic.
  CHECK(cost_of([&] { at::matmul(values, values); }).flops == 2 * 64);
  CHECK(cost_of([&] { values.t().contiguous().reshape({16}); }).flops == 0);
  CHECK(cost_of([&] { at::digamma(at::arange(4).to(at::kFloat).mul(0)); }).flops == std::nullopt);

  Cost whole = cost_of([&] { at::mm(values, values); });
  whole += cost_of([&] { at::digamma(values); });
  CHECK_FALSE(whole.flops.has_value());
}
