// CABS: pruned task vectors that do not overlap.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

at::Tensor merge_cabs(const Json& parameters, const std::vector<at::Tensor>& deltas) {
  return merge_deltas("cabs", parameters, deltas);
}

}  // namespace

TEST_CASE("CABS keeps n of m entries, of those that earlier experts left", "[methods]") {
  // 2:4. The first expert takes .4 and -.1; -.3 and .5. The second has the other places alone.
  const at::Tensor first = matrix({.4f, -.1f, .03f, 0, -.2f, .5f, .01f, -.3f});
  const at::Tensor second = matrix({9, 9, .02f, .1f, -.6f, 9, -.4f, 9});
  const Json parameters{{"n", 2}, {"m", 4}};

  CHECK(at::equal(merge_cabs(parameters, {first}), matrix({.4f, -.1f, 0, 0, 0, .5f, 0, -.3f})));
  CHECK(at::equal(merge_cabs(parameters, {first, second}),
                  matrix({.4f, -.1f, .02f, .1f, -.6f, .5f, -.4f, -.3f})));
  // Nothing is left for a third.
  CHECK(at::equal(merge_cabs(parameters, {first, second, second}),
                  merge_cabs(parameters, {first, second})));
}

TEST_CASE("CABS goes by the order of the experts", "[methods]") {
  const at::Tensor one = at::tensor({3.0f, 2.0f}), other = at::tensor({5.0f, 1.0f});
  const Json parameters{{"n", 1}, {"m", 2}};

  CHECK(at::equal(merge_cabs(parameters, {one, other}), at::tensor({3.0f, 1.0f})));
  CHECK(at::equal(merge_cabs(parameters, {other, one}), at::tensor({5.0f, 2.0f})));
}

TEST_CASE("CABS takes the first of equal magnitudes", "[methods]") {
  CHECK(at::equal(merge_cabs({{"n", 2}, {"m", 4}}, {at::tensor({1.0f, -1.0f, 1.0f, -1.0f})}),
                  at::tensor({1.0f, -1.0f, 0.0f, 0.0f})));
}

TEST_CASE("CABS weighs and scales what is kept", "[methods]") {
  const at::Tensor one = at::tensor({3.0f, 2.0f}), other = at::tensor({5.0f, 1.0f});
  CHECK(
      at::equal(merge_cabs({{"n", 1}, {"m", 2}, {"scale", .5}, {"weights", {2, -4}}}, {one, other}),
                at::tensor({3.0f, -2.0f})));
}

TEST_CASE("CABS keeps a share of an incomplete last block, the authors' code nothing",
          "[methods]") {
  const at::Tensor delta = at::tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f});
  const Json parameters{{"n", 2}, {"m", 4}};
  const MergeInputs inputs = one_tensor_inputs(at::zeros({7}), {delta});

  // Of the last three int(2 * 3 / 4) = 1.
  CHECK(at::equal(merge_cabs(parameters, {delta}),
                  at::tensor({0.0f, 0.0f, 3.0f, 4.0f, 0.0f, 0.0f, 7.0f})));
  CHECK(at::equal(merge("cabs@paper", parameters, inputs).at("w"),
                  at::tensor({0.0f, 0.0f, 3.0f, 4.0f, 0.0f, 0.0f, 0.0f})));
  // A tensor that is smaller than a block keeps one entry, not none.
  CHECK(at::equal(merge_cabs(Json::object(), {at::tensor({1.0f, -2.0f})}),
                  at::tensor({0.0f, -2.0f})));
}

TEST_CASE("CABS' blocks fit into parts", "[methods]") {
  const at::Tensor delta = noise({kPartElements + 300}, 3);
  const at::Tensor whole = merge_cabs({{"n", 3}, {"m", 8}}, {delta});

  CHECK(whole.narrow(0, 0, kPartElements + 296).ne(0).sum().item<int64_t>() ==
        3 * (kPartElements + 296) / 8);
  CHECK_THROWS_WITH(merge_cabs({{"m", 96}}, {delta}),
                    Contains("'m' is 96") && Contains("power of 2"));
  CHECK_THROWS_WITH(merge_cabs({{"n", 9}, {"m", 8}}, {delta}), Contains("'n' is 9"));
}
