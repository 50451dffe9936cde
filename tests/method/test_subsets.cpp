#include "harness/method/subsets.h"

#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;
using Subsets = std::vector<std::vector<int64_t>>;

TEST_CASE("subsets are all choices, in lexicographic order", "[method]") {
  CHECK(subsets_of(4, 2) == Subsets{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}});
  CHECK(subsets_of(3, 3) == Subsets{{0, 1, 2}});
  CHECK(subsets_of(3, 1) == Subsets{{0}, {1}, {2}});
  CHECK(subsets_of(8, 4).size() == 70);
}

TEST_CASE("too many subsets are refused", "[method]") {
  CHECK_THROWS_AS(subsets_of(64, 32), UserError);
  CHECK_THROWS_AS(subsets_of(3, 4), UserError);
}
