// Methods on the singular value decompositions of task vectors: TSV-M, TSV-C, Iso-C and Iso-CTS.
#include "harness/core/error.h"
#include "methods/spectral/svd.h"
#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

at::Tensor square(const std::vector<double>& values) { return at::tensor(values).reshape({3, 3}); }

/// Task vectors of G11, over a base of zeros; "bias" is the first row of each.
MergeInputs golden_squares() {
  const std::vector<at::Tensor> deltas{square({3, 0, 1, 0, 2, 0, 1, 0, 1}),
                                       square({0, 1, 0, 1, 2, 1, 0, 0, 1.5}),
                                       square({1, 0, 0, 0, 0, 1, 2, 1, 0})};
  MergeInputs inputs;
  inputs.base = source("base", {{"bias", at::zeros({3})}, {"w", at::zeros({3, 3})}});
  for (const at::Tensor& delta : deltas) {
    const at::Tensor w = delta.to(at::kFloat);
    inputs.experts.push_back(source("expert", {{"bias", w[0].clone()}, {"w", w}}));
  }
  return inputs;
}

/// A base and experts of one matrix, none of them small.
MergeInputs noisy_inputs(at::IntArrayRef shape, uint64_t experts) {
  std::vector<at::Tensor> models;
  for (uint64_t i = 0; i < experts; ++i) models.push_back(noise(shape, 1 + i));
  return one_tensor_inputs(noise(shape, 99), models);
}

at::Tensor delta_of(const StateDict& merged, const MergeInputs& inputs) {
  return merged.at("w").to(at::kDouble) - inputs.base->read("w").to(at::kDouble);
}

double orthogonality(const at::Tensor& columns) {
  return distance(columns.t().mm(columns), at::eye(columns.size(1), at::kDouble));
}

}  // namespace

TEST_CASE("a factorisation gives the matrix and orthonormal vectors", "[methods][spectral]") {
  const at::Tensor wide = noise({20, 50}, 1).to(at::kDouble);
  for (const at::Tensor& matrix : {wide, wide.t()}) {
    const Svd whole = factorize(matrix);
    CHECK(whole.count() == 20);
    CHECK(distance(whole.product(), matrix) < 1e-12);
    CHECK(orthogonality(whole.u) < 1e-9);
    CHECK(orthogonality(whole.v) < 1e-9);
    CHECK(distance(whole.s, at::linalg_svdvals(matrix)) < 1e-12);

    const Svd leading = factorize(matrix, {.most = 3});
    CHECK(leading.count() == 3);
    CHECK(distance(leading.product(),
                   (whole.u * whole.s).narrow(1, 0, 3).mm(whole.v.narrow(1, 0, 3).t())) < 1e-12);
  }
}

TEST_CASE("a factorisation finds values that a Gram matrix loses, and no zeros",
          "[methods][spectral]") {
  // 4^-19 is 4e-12: its square is far below a rounding of the largest.
  const at::Tensor matrix = low_rank_matrix(40, 30, 20, 1);
  const Svd found = factorize(matrix);

  CHECK(found.count() == 20);
  CHECK(distance(found.s.log2(), -2 * at::arange(20, at::kDouble)) < 1e-3);
  CHECK(distance(found.product(), matrix) < 1e-12);
  CHECK(orthogonality(found.u) < 1e-6);
  CHECK(orthogonality(found.v) < 1e-6);
  CHECK(factorize(matrix, {.above = 1e-3}).count() == 5);
  CHECK(factorize(at::zeros({4, 3})).count() == 0);
}

TEST_CASE("dependent columns share the directions that they span", "[methods][spectral]") {
  const at::Tensor columns = factorize(noise({9, 4}, 1)).u;
  const at::Tensor twice = polar_factor(at::cat({columns, columns}, 1));

  CHECK(distance(twice, at::cat({columns, columns}, 1) / std::sqrt(2.0)) < 1e-9);
  CHECK(distance(polar_factor(columns * 3), columns) < 1e-9);
}

TEST_CASE("G11: TSV-M", "[methods][golden][spectral]") {
  const StateDict merged = merge("tsv_m", Json::object(), golden_squares());

  CHECK(distance(merged.at("w"),
                 square({2.2757356770, -1.1182661843, 2.2683010097, -.5721370966, 2.2128457553,
                         1.3981239927, 1.7346630905, 1.2413714392, -1.1393452158})) < kTolerance);
  CHECK(distance(merged.at("bias"), at::tensor({4 / 3.0, 1 / 3.0, 1 / 3.0})) < kTolerance);
}

TEST_CASE("G11: Iso-C", "[methods][golden][spectral]") {
  const StateDict merged = merge("iso_c", Json::object(), golden_squares());

  CHECK(distance(merged.at("w"),
                 square({3.4078447763, .5789470736, -1.2016397819, -.2803567181, 3.5341337963,
                         .9076465827, 1.3040391061, -.7531550269, 3.3353805501})) < kTolerance);
  CHECK(distance(merged.at("bias"), at::tensor({4 / 3.0, 1 / 3.0, 1 / 3.0})) < kTolerance);
}

TEST_CASE("G11: Iso-CTS", "[methods][golden][spectral]") {
  std::vector<at::Tensor> deltas;
  for (int k = 0; k < 3; ++k) {
    at::Tensor delta = at::empty({10, 8});
    for (int i = 0; i < 10; ++i)
      for (int j = 0; j < 8; ++j)
        delta[i][j] = static_cast<float>(((7 * i + 3 * j + 5 * k * i * j + k) % 11) - 5) / 5;
    deltas.push_back(delta);
  }
  const at::Tensor merged =
      merge("iso_cts", Json::object(), one_tensor_inputs(at::zeros({10, 8}), deltas)).at("w");

  CHECK(distance(at::linalg_svdvals(merged.to(at::kDouble)), at::full({8}, 3.6793351370)) < 1e-5);
  CHECK(merged.to(at::kDouble).norm().item<double>() == Approx(10.4067313027));
  CHECK(distance(merged[0], at::tensor({-1.1086050442, -.8030267169, -.2171764101, 1.5389534947,
                                        -1.5482233597, 1.2555777238, 1.1362959530, .3923733391})) <
        5e-6);
}

TEST_CASE("Iso-C's norm is the mean singular value times the root of their number",
          "[methods][spectral]") {
  const MergeInputs inputs = noisy_inputs({12, 7}, 3);
  at::Tensor sum = at::zeros({12, 7}, at::kDouble);
  for (const auto& expert : inputs.experts)
    sum += expert->read("w").to(at::kDouble) - inputs.base->read("w").to(at::kDouble);
  const double mean = at::linalg_svdvals(sum).mean().item<double>();
  const at::Tensor delta = delta_of(merge("iso_c", {{"scale", 1.5}}, inputs), inputs);

  CHECK(delta.norm().item<double>() == Approx(1.5 * mean * std::sqrt(7.0)));
  CHECK(distance(at::linalg_svdvals(delta), at::full({7}, 1.5 * mean)) < 1e-5);
}

TEST_CASE("Iso-C adds no directions that the task vectors lack", "[methods][spectral]") {
  // Singular values 5 and 0: their mean goes to the one direction that there is.
  const at::Tensor delta = at::tensor({1.0f, 2.0f, 2.0f, 4.0f}).reshape({2, 2});
  const at::Tensor zeros = at::zeros({2, 2});
  const auto merged = [&](const at::Tensor& expert) {
    return merge("iso_c", Json::object(), one_tensor_inputs(zeros, {expert})).at("w");
  };

  CHECK(distance(merged(delta), delta / 2) < kTolerance);
  CHECK(at::equal(merged(zeros), zeros));
}

TEST_CASE("TSV-M of one expert is that expert", "[methods][spectral]") {
  const MergeInputs inputs = noisy_inputs({9, 14}, 1);
  CHECK(distance(merge("tsv_m", Json::object(), inputs).at("w"), inputs.experts[0]->read("w")) <
        kTolerance);
}

TEST_CASE("TSV-M adds up task vectors in orthogonal subspaces", "[methods][spectral]") {
  // Rank 2 each, in rows and columns of their own.
  at::Tensor first = at::zeros({6, 8}), second = at::zeros({6, 8});
  first.narrow(0, 0, 2).narrow(1, 0, 4).copy_(noise({2, 4}, 1));
  second.narrow(0, 3, 2).narrow(1, 4, 4).copy_(noise({2, 4}, 2));
  const MergeInputs inputs = one_tensor_inputs(at::zeros({6, 8}), {first, second});

  CHECK(distance(merge("tsv_m", Json::object(), inputs).at("w"), first + second) < kTolerance);
}

TEST_CASE("a scale multiplies all of what is added to the base", "[methods][spectral]") {
  MergeInputs inputs = golden_squares();
  for (const char* method : {"tsv_m", "iso_c", "iso_cts"}) {
    const StateDict once = merge(method, {{"scale", 1}}, inputs);
    const StateDict twice = merge(method, {{"scale", 2}}, inputs);
    CHECK(same_bytes(merge(method, {{"scale", 0}}, inputs),
                     {{"bias", at::zeros({3})}, {"w", at::zeros({3, 3})}}));
    for (const auto& [name, value] : once) CHECK(distance(twice.at(name), 2 * value) < kTolerance);
  }
}

TEST_CASE("tensors that are no matrices get the mean of the task vectors or stay the base's",
          "[methods][spectral]") {
  for (const char* method : {"tsv_m", "iso_c", "iso_cts"}) {
    const StateDict kept = merge(method, {{"others", "base"}}, golden_squares());
    CHECK(at::equal(kept.at("bias"), at::zeros({3})));
    const StateDict excluded = merge(method, {{"exclude", {"*w"}}}, golden_squares());
    CHECK(distance(excluded.at("w"), square({4, 1, 1, 1, 4, 2, 3, 1, 2.5}) / 3) < kTolerance);
  }
}

TEST_CASE("filters of convolutions are matrices where that is asked for", "[methods][spectral]") {
  std::vector<at::Tensor> filters, unfolded;
  for (uint64_t i = 0; i < 2; ++i) {
    filters.push_back(noise({6, 2, 2, 2}, i));
    unfolded.push_back(filters.back().flatten(1));
  }
  const at::Tensor base = noise({6, 2, 2, 2}, 9);
  const auto merged = [&](const Json& parameters) {
    return merge("iso_c", parameters, one_tensor_inputs(base, filters)).at("w");
  };
  const at::Tensor matrix =
      merge("iso_c", Json::object(), one_tensor_inputs(base.flatten(1), unfolded)).at("w");

  CHECK(at::equal(merged({{"unfold", true}}), matrix.reshape({6, 2, 2, 2})));
  CHECK(distance(merged(Json::object()), (filters[0] + filters[1]) / 2) < kTolerance);
}

TEST_CASE("TSV refuses matrices with fewer singular values than experts", "[methods][spectral]") {
  const MergeInputs inputs = noisy_inputs({2, 9}, 3);
  CHECK_THROWS_WITH(merge("tsv_m", Json::object(), inputs), Contains("'w' has 2 singular values") &&
                                                                Contains("3 experts") &&
                                                                Contains("'exclude'"));
  CHECK(merge("tsv_m", {{"rank", 0.1}}, inputs).at("w").isfinite().all().item<bool>());
}

TEST_CASE("TSV-C's task models hold the leading components of their own expert",
          "[methods][spectral]") {
  MergeInputs inputs = golden_squares();
  MergeReport report;
  const StateDict shared = merge("tsv_c", Json::object(), inputs, &report);
  CHECK(at::equal(shared.at("w"), at::zeros({3, 3})));
  CHECK(*report.task_bytes == 4 * (3 + 3 + 1) + 3 * 4);

  for (size_t i = 0; i < 3; ++i) {
    inputs.task_expert = i;
    const at::Tensor expert = inputs.experts[i]->read("w").to(at::kDouble);
    const auto [u, s, vt] = at::linalg_svd(expert, false);
    const StateDict made = merge("tsv_c", Json::object(), inputs);
    CHECK(distance(made.at("w"), s[0] * at::outer(u.select(1, 0), vt[0])) < kTolerance);
    CHECK(at::equal(made.at("bias"), inputs.experts[i]->read("bias")));
    CHECK(distance(merge("tsv_c", {{"rank", 1}}, inputs).at("w"), expert) < kTolerance);
    CHECK(distance(merge("tsv_c", {{"others", "mean"}}, inputs).at("bias"),
                   at::tensor({4 / 3.0, 1 / 3.0, 1 / 3.0})) < kTolerance);
  }
}
