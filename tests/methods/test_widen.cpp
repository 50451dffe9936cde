#include <cmath>

#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor widen(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                 const Json& parameters = Json::object(), const std::string& name = "w") {
  MergeInputs inputs;
  inputs.base = source("base", {{name, base}});
  for (const at::Tensor& expert : experts)
    inputs.experts.push_back(source("expert", {{name, expert}}));
  return merge("widen", parameters, inputs).at(name);
}

}  // namespace

TEST_CASE("WIDEN's weights are scores of ranks within a model, and a softmax over models",
          "[methods]") {
  // Two columns of length 1. The first expert doubles column 0, the second doubles column 1 and
  // turns column 0 by a right angle.
  const at::Tensor base = at::eye(2);
  const at::Tensor first = at::tensor({2.0f, 0.0f, 0.0f, 1.0f}).view({2, 2});
  const at::Tensor second = at::tensor({0.0f, 0.0f, 1.0f, 2.0f}).view({2, 2});
  // Lengths change by (1, 0) and (0, 1): ranks (.5, 0) and (0, .5), above their mean .25 the .5,
  // which scores 1; the others have softmax(0, .5) = 1 / (1 + e^.5). Directions change by (0, 0),
  // where the first is the lower of equals, and (1, 0): ranks (0, .5) and (.5, 0).
  const double low = 1 / (1 + std::exp(.5));
  const double both = (1 + low) / 2;
  const at::Tensor expected = base + both * (first - base) +
                              (second - base) * at::tensor({static_cast<float>((low + 1) / 2),
                                                            static_cast<float>((1 + low) / 2)});

  CHECK(distance(widen(base, {first, second}), expected) < 1e-6);
}

TEST_CASE("WIDEN weighs vectors entry by entry, by how much they changed", "[methods]") {
  const at::Tensor base = at::zeros({2});
  const at::Tensor first = at::tensor({3.0f, 1.0f}), second = at::tensor({2.0f, 2.0f});
  // Means 2 and 2: the 3 scores 1; the others e^x / (e^x + e^y) of the two changes.
  const double half = std::exp(2.0) / (std::exp(2.0) + std::exp(3.0));
  const double low = std::exp(1.0) / (std::exp(1.0) + std::exp(2.0));
  const at::Tensor merged = widen(base, {first, second});

  CHECK(merged[0].item<double>() == Approx(3 + 2 * half));
  CHECK(merged[1].item<double>() == Approx(low + 2 * (1 - low)));
}

TEST_CASE("WIDEN of the base alone is the base, in every shape", "[methods]") {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{4, 3}, {4}, {2, 3, 3, 3}, {1, 1}}) {
    const at::Tensor base = noise(shape, 1);
    CHECK(distance(widen(base, {base, base}), base) < 1e-6);
  }
}

TEST_CASE("token embeddings are weighed token by token", "[methods]") {
  const at::Tensor base = noise({5, 3}, 1), a = noise({5, 3}, 2), b = noise({5, 3}, 3);
  const at::Tensor transposed =
      widen(base.t().contiguous(), {a.t().contiguous(), b.t().contiguous()});
  const at::Tensor merged = widen(base, {a, b}, Json::object(), "model.embed_tokens.weight");
  CHECK(distance(merged, transposed.t()) < 1e-6);
}
