// Points on the line from the base to the experts: between them, and beyond.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor merge_lines(const std::string& ref, const Json& parameters,
                       const std::vector<at::Tensor>& experts) {
  return merge(ref, parameters, one_tensor_inputs(at::tensor({0.0f, 4.0f}), experts)).at("w");
}

}  // namespace

TEST_CASE("WiSE-FT goes from the base to the mean of the experts", "[methods]") {
  const at::Tensor expert = at::tensor({2.0f, 0.0f}), other = at::tensor({4.0f, -2.0f});

  CHECK(at::equal(merge_lines("wise_ft", {{"alpha", .25}}, {expert}), at::tensor({0.5f, 3.0f})));
  CHECK(at::equal(merge_lines("wise_ft", {{"alpha", 0}}, {expert}), at::tensor({0.0f, 4.0f})));
  CHECK(at::equal(merge_lines("wise_ft", {{"alpha", 1}}, {expert}), expert));
  CHECK(
      at::equal(merge_lines("wise_ft", Json::object(), {expert, other}), at::tensor({1.5f, 1.5f})));
  CHECK_THROWS_AS(merge_lines("wise_ft", {{"alpha", 1.1}}, {expert}), UserError);
}

TEST_CASE("ExPO goes on beyond the expert", "[methods]") {
  const at::Tensor expert = at::tensor({2.0f, 0.0f}), other = at::tensor({4.0f, -2.0f});

  CHECK(at::equal(merge_lines("expo", {{"factor", .5}}, {expert}), at::tensor({3.0f, -2.0f})));
  CHECK(at::equal(merge_lines("expo", {{"factor", 0}}, {expert}), expert));
  CHECK(
      at::equal(merge_lines("expo", {{"factor", 1}}, {expert, other}), at::tensor({6.0f, -6.0f})));
  CHECK(distance(merge_lines("expo", Json::object(), {expert}), at::tensor({2.2f, -.4f})) < 1e-6);
}
