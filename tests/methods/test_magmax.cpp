// MagMax: the largest change of each entry.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("MagMax takes the largest magnitude of each entry, whatever its sign", "[methods]") {
  // Of the two entries of magnitude .1 the first expert's counts.
  CHECK(at::equal(merge("magmax", {{"scale", 1}}, golden_delta_inputs()).at("w"),
                  matrix({.4f, -.3f, -.5f, .1f, -.6f, .5f, -.4f, -.3f})));
}

TEST_CASE("MagMax halves its task vector by default, and leaves the base at 0", "[methods]") {
  const at::Tensor expert = golden_deltas()[0];
  const MergeInputs inputs = one_tensor_inputs(at::zeros({2, 4}), {expert, .5f * expert});

  CHECK(at::equal(merge("magmax", Json::object(), inputs).at("w"), .5f * expert));
  CHECK(at::equal(merge("magmax", {{"scale", 0}}, golden_inputs()).at("w"), golden_base()));
}
