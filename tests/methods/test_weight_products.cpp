// Products of two networks' units, by all their tensors and after orders have changed.
#include <algorithm>

#include "harness/kernels/parallel.h"
#include "methods/permute/weight_products.h"
#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/methods/permuted_networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor in_full(const UnitGroups& groups, size_t group, const StateDict& first,
                   const StateDict& other, const std::vector<UnitOrder>& orders) {
  const int64_t units = groups.units(group);
  at::Tensor sum = at::zeros({units, units}, at::kDouble);
  for (const UnitAxis& axis : groups.groups()[group].axes)
    sum += at::mm(
        unit_rows(first.at(axis.tensor), axis, units),
        unit_rows(groups.reordered(axis.tensor, other.at(axis.tensor), orders, &axis), axis, units)
            .t());
  return sum;
}

}  // namespace

TEST_CASE("products of units follow the orders of other groups", "[methods][permute]") {
  // 300 filters: two blocks of rows. The second layer's units are in tensors of both groups.
  const Json cnn{{"model_type", "small_cnn"}, {"channels", 6}, {"hidden", 300}, {"classes", 3}};
  const auto architecture = make_architecture(JsonReader(cnn, "test"));
  const StateDict first = architecture->initial_weights(1),
                  other = architecture->initial_weights(2);
  const Networks networks = networks_of(cnn, {first, other});
  const NetworkEvidence evidence(networks);
  std::vector<std::string> names;
  for (const auto& [name, unused] : first) names.push_back(name);
  const UnitGroups groups(names, evidence.get(), true, "test");
  REQUIRE(groups.size() >= 2);

  std::vector<UnitOrder> orders = groups.identity();
  WeightProducts products(groups, first, other);
  const auto check_all = [&] {
    for (size_t i = 0; i < groups.size(); ++i) {
      CAPTURE(i);
      const at::Tensor expected = in_full(groups, i, first, other, orders);
      CHECK(at::allclose(products.of(i, orders), expected, 1e-12, 1e-12));
    }
  };
  check_all();
  const at::Tensor before = products.of(0, orders);
  CHECK(products.of(0, orders).is_same(before));

  std::reverse(orders[0].begin(), orders[0].end());
  CHECK(products.of(0, orders).is_same(before));  // its own order does not matter to it
  check_all();

  // As on one thread, bit by bit.
  std::vector<at::Tensor> alone;
  {
    const Threads used(1);
    for (size_t i = 0; i < groups.size(); ++i)
      alone.push_back(WeightProducts(groups, first, other).of(i, orders));
  }
  const Threads used(2);
  const OneThreadEach each;
  WeightProducts concurrent(groups, first, other);
  for (size_t i = 0; i < groups.size(); ++i) CHECK(at::equal(concurrent.of(i, orders), alone[i]));
}
