// The geometric median of experts.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor median(const Json& parameters, const std::vector<at::Tensor>& points) {
  return merge("geometric_median", parameters, one_tensor_inputs({}, points)).at("w");
}

at::Tensor point(float x, float y) { return at::tensor({x, y}); }

}  // namespace

TEST_CASE("the geometric median of four points is where their diagonals meet", "[methods]") {
  const std::vector<at::Tensor> kite{point(-1, 0), point(5, 0), point(0, -2), point(0, 7)};
  CHECK(distance(median(Json::object(), kite), point(0, 0)) < 1e-4);
  CHECK(distance(median({{"iterations", 0}}, kite), point(1, 1.25f)) < 1e-6);
}

TEST_CASE("the geometric median is an expert where the others balance, or weights say so",
          "[methods]") {
  const std::vector<at::Tensor> line{point(0, 0), point(1, 1), point(10, 10)};
  CHECK(distance(median(Json::object(), line), point(1, 1)) < 1e-3);
  CHECK(distance(median({{"weights", {3, 1, 1}}}, line), point(0, 0)) < 1e-3);
  CHECK_THROWS_AS(median({{"weights", {0, 0, 0}}}, line), UserError);
}

TEST_CASE("the geometric median sees distances that are small beside the weights", "[methods]") {
  const auto near = [](float x, float y) { return point(100 + x, 100 + y); };
  CHECK(distance(
            median(Json::object(), {near(-.25f, 0), near(1.25f, 0), near(0, -.5f), near(0, 1.75f)}),
            near(0, 0)) < 1e-4);
}

TEST_CASE("distances are those of a tensor, or of the whole model", "[methods]") {
  // In "a" alone the median is 1. With "b", where the third expert is alone, that one hardly counts
  // in "a" either.
  MergeInputs inputs;
  for (const auto& [a, b] : {std::pair{0.0f, 0.0f}, {3.0f, 0.0f}, {1.0f, 1000.0f}})
    inputs.experts.push_back(source("expert", {{"a", at::full({1}, a)}, {"b", at::full({1}, b)}}));
  const auto value = [&](const char* scope) {
    return merge("geometric_median", {{"scope", scope}}, inputs).at("a").item<float>();
  };

  CHECK(std::abs(value("tensor") - 1) < 1e-3);
  // By symmetry about halfway between the first two.
  CHECK(std::abs(value("model") - 1.5) < .01);
}
