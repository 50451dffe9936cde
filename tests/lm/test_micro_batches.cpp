#include "harness/lm/micro_batches.h"

#include <numeric>

#include "tests/catch.h"

using namespace assay;

namespace {

using Batches = std::vector<std::vector<int64_t>>;

/// The division of examples 0, 1, ... of these lengths.
Batches divided_by(const std::vector<ExampleLength>& lengths, size_t most) {
  std::vector<int64_t> places(lengths.size());
  std::iota(places.begin(), places.end(), 0);
  return micro_batches(places, lengths, most);
}

/// The same of inputs alone.
Batches divided(const std::vector<int64_t>& lengths, size_t most = 100) {
  std::vector<ExampleLength> all;
  for (const int64_t length : lengths) all.push_back({.inputs = length});
  return divided_by(all, most);
}

}  // namespace

TEST_CASE("a batch is divided by length where more than a quarter of it would be padding",
          "[lm][micro_batches]") {
  CHECK(divided({8, 2, 8, 2}) == Batches{{1, 3}, {0, 2}});
  CHECK(divided({2, 2, 2}) == Batches{{0, 1, 2}});
  // 8 positions of which 1, 2 (exactly a quarter) and 3 are padding.
  CHECK(divided({4, 3}) == Batches{{0, 1}});
  CHECK(divided({4, 2}) == Batches{{0, 1}});
  CHECK(divided({4, 1}) == Batches{{1}, {0}});
  // A short text among long ones pads little.
  CHECK(divided({8, 1, 8, 8}) == Batches{{0, 1, 2, 3}});
  // 3, 4 and 5 together have 3 of 15; with 6, 6 of 24 are padding; with 12, 30 of 60.
  CHECK(divided({12, 6, 5, 4, 3}) == Batches{{1, 2, 3, 4}, {0}});
  // Nothing is read of images.
  CHECK(divided({0, 0, 0}, 2) == Batches{{0, 1}, {2}});
}

TEST_CASE("encoder and decoder both count", "[lm][micro_batches]") {
  // Of two rows of 8 and 8 positions, 7, 14 and 14 would be padding.
  CHECK(divided_by({{8, 8}, {8, 1}}, 100) == Batches{{0, 1}});
  CHECK(divided_by({{8, 8}, {1, 1}}, 100) == Batches{{1}, {0}});
  CHECK(divided_by({{1, 8}, {8, 1}}, 100) == Batches{{0}, {1}});
}

TEST_CASE("parts bound the micro-batches, and keep the order where nothing is padded",
          "[lm][micro_batches]") {
  CHECK(divided({5, 5, 5, 5, 5}, 2) == Batches{{0, 1}, {2, 3}, {4}});
  CHECK(divided({8, 2, 8, 2, 8}, 2) == Batches{{1, 3}, {0, 2}, {4}});
  // An example may occur twice, as where one epoch ends and the next begins.
  const std::vector<int64_t> places = {6, 9, 6};
  const std::vector<ExampleLength> lengths = {{2}, {8}, {2}};
  CHECK(micro_batches(places, lengths, 3) == Batches{{6, 6}, {9}});
}
