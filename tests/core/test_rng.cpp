#include <algorithm>
#include <set>

#include "harness/core/philox.h"
#include "harness/core/rng.h"
#include "tests/catch.h"

using namespace assay;

TEST_CASE("Philox4x32-10 gives the published vectors", "[core]") {
  // kat_vectors of Random123, by the authors of the paper.
  const auto words = [](const Philox4& block) {
    return std::vector<uint32_t>(block.v, block.v + 4);
  };
  CHECK(words(philox4x32_10(0, 0, 0)) ==
        std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words(philox4x32_10(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0})) ==
        std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(philox4x32_10(0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822)) ==
        std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a draw depends on its key and its index alone", "[core]") {
  CHECK(philox_bits(7, 5) == philox4x32_10(1, 0, 7).v[1]);
  CHECK(philox_bits(7, 5) != philox_bits(8, 5));
  for (uint64_t i = 0; i < 1000; ++i) {
    const float u = philox_uniform(3, i);
    REQUIRE(u >= 0.0f);
    REQUIRE(u < 1.0f);
  }
}

TEST_CASE("streams differ by seed and by purpose, and repeat", "[core]") {
  const auto first = [](uint64_t seed, const char* purpose) { return Rng(seed, purpose).bits(); };
  CHECK(first(1, "order") == first(1, "order"));
  CHECK(first(1, "order") != first(2, "order"));
  CHECK(first(1, "order") != first(1, "noise"));
}

TEST_CASE("uniform and normal draws have the moments of their distribution", "[core]") {
  constexpr int kDraws = 20000;
  Rng rng(11, "moments");
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    REQUIRE((u >= 0.0 && u < 1.0));
    uniform_sum += u;
    const double z = rng.normal();
    normal_sum += z;
    normal_squares += z * z;
  }

  // Five standard errors of each mean.
  CHECK(uniform_sum / kDraws == Approx(0.5).margin(5 * 0.2887 / std::sqrt(kDraws)));
  CHECK(normal_sum / kDraws == Approx(0.0).margin(5 / std::sqrt(kDraws)));
  CHECK(normal_squares / kDraws == Approx(1.0).margin(5 * 1.4143 / std::sqrt(kDraws)));
}

TEST_CASE("below() reaches every value and no other", "[core]") {
  Rng rng(5, "below");
  std::set<int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.below(4));
  CHECK(seen == std::set<int64_t>{0, 1, 2, 3});
}

TEST_CASE("a permutation holds every index once, and seeds give different ones", "[core]") {
  std::vector<int64_t> order = Rng(1, "order").permutation(100);
  CHECK(order != Rng(2, "order").permutation(100));
  CHECK(order == Rng(1, "order").permutation(100));
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 100; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);

  CHECK(Rng(1, "order").permutation(0).empty());
  CHECK(Rng(1, "order").permutation(1) == std::vector<int64_t>{0});
  // All six orders of three occur.
  std::set<std::vector<int64_t>> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) orders.insert(Rng(seed, "three").permutation(3));
  CHECK(orders.size() == 6);
}
