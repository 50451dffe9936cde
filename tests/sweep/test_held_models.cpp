#include "harness/sweep/internal/held_models.h"

#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// 4000 bytes.
std::shared_ptr<const TensorSource> model(uint64_t key) {
  return source("model " + std::to_string(key), {{"w", noise({1000}, key)}});
}

}  // namespace

TEST_CASE("models are copied once by content while they fit", "[sweep]") {
  HeldModels held(at::kCPU, 8000);
  const auto a = held.hold(model(1)), again = held.hold(model(1));

  CHECK(a == again);
  CHECK(a->label() == "model 1");
  CHECK(a->content_hash() == model(1)->content_hash());
  CHECK(at::equal(a->read("w"), model(1)->read("w")));
}

TEST_CASE("models in use stay, those unused for longest go", "[sweep]") {
  HeldModels held(at::kCPU, 8000);
  const std::weak_ptr<const TensorSource> first = held.hold(model(1));
  const std::weak_ptr<const TensorSource> second = held.hold(model(2));
  const auto used = held.hold(model(1));
  const auto third = held.hold(model(3));

  CHECK_FALSE(first.expired());
  CHECK(second.expired());
  // Both that are held are in use.
  const auto fourth = model(4);
  CHECK(held.hold(fourth) == fourth);
}

TEST_CASE("a model that cannot fit comes back as it is", "[sweep]") {
  HeldModels held(at::kCPU, 3999);
  const auto large = model(1);

  CHECK(held.hold(large) == large);
}
