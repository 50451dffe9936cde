// OrthoMerge: rotations are merged among rotations.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

const Json kRests{{"method", "task_arithmetic"}, {"scale", 1}};

/// A turn by the angle in the plane of the first two of `size` axes.
at::Tensor plane_turn(double angle, int64_t size) {
  at::Tensor rotation = at::eye(size, at::kDouble);
  rotation[0][0] = rotation[1][1] = std::cos(angle);
  rotation[0][1] = -std::sin(angle);
  rotation[1][0] = std::sin(angle);
  return rotation;
}

at::Tensor ortho_merged(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                        const Json& more = Json::object()) {
  Json parameters{{"of", kRests}};
  parameters.update(more);
  std::vector<at::Tensor> stored;
  for (const at::Tensor& expert : experts) stored.push_back(expert.to(at::kFloat));
  return merge("ortho_merge", parameters, one_tensor_inputs(base.to(at::kFloat), stored)).at("w");
}

}  // namespace

TEST_CASE("OrthoMerge averages turns in one plane", "[methods]") {
  // Cayley's transform of a turn by a is tan(a / 2): that of the merge is the tangents' mean.
  for (const int64_t outputs : {5, 3}) {  // and of fewer outputs than inputs
    const at::Tensor base = noise({outputs, 4}, 1).to(at::kDouble);
    const double angle = 2 * std::atan((std::tan(.1) + std::tan(.3)) / 2);
    if (outputs == 5)
      CHECK(distance(ortho_merged(base, {base.mm(plane_turn(.2, 4)), base.mm(plane_turn(.6, 4))}),
                     base.mm(plane_turn(angle, 4))) < 1e-5);
    CHECK(distance(ortho_merged(base, {base.mm(plane_turn(.2, 4))}), base.mm(plane_turn(.2, 4))) <
          1e-5);
  }
}

TEST_CASE("OrthoMerge of opposite turns stays at the base", "[methods]") {
  const at::Tensor base = noise({5, 4}, 1).to(at::kDouble);
  CHECK(distance(ortho_merged(base, {base.mm(plane_turn(.4, 4)), base.mm(plane_turn(-.4, 4))}),
                 base) < 1e-5);
}

TEST_CASE("OrthoMerge leaves what is no rotation to the other method", "[methods]") {
  const at::Tensor base = at::eye(3, at::kDouble);
  // Symmetric changes turn nothing: their sum.
  const at::Tensor one = at::diag(at::tensor({.1, 0., .2})),
                   two = at::diag(at::tensor({0., .3, .1}));
  CHECK(distance(ortho_merged(base, {base + one, base + two}), base + one + two) < 1e-6);
  // Of experts without conflict no row turns.
  const at::Tensor turn = plane_turn(.2, 3);
  CHECK(distance(ortho_merged(base, {turn, turn}, {{"rows", "conflicting"}}), 2 * turn - base) <
        1e-6);
  CHECK(distance(ortho_merged(base, {turn, turn}), turn) < 1e-6);
}
