#include <ATen/ATen.h>

#include "harness/kernels/task_vector/delta.h"
#include "tests/catch.h"

using namespace assay;

TEST_CASE("Philox4x32-10 gives the known answers of Random123", "[kernels]") {
  const auto check = [](Philox4 got, std::array<uint32_t, 4> want) {
    for (size_t i = 0; i < 4; ++i) CHECK(got.v[i] == want[i]);
  };

  check(philox4x32_10(0, 0, 0), {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  check(philox4x32_10(~0ull, ~0ull, ~0ull), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  check(philox4x32_10(0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822),
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("an element's draw is a word of the block its index falls in", "[kernels]") {
  CHECK(philox_bits(0, 0) == 0x6627e8d5);
  CHECK(philox_bits(0, 3) == 0x9b00dbd8);
  CHECK(philox_bits(7, 9) == philox4x32_10(2, 0, 7).v[1]);
  CHECK(philox_uniform(0, 0) == static_cast<float>(0x6627e8) / 16777216.0f);
}

TEST_CASE("every half and bfloat16 converts as LibTorch converts it", "[kernels]") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto raw = static_cast<uint16_t>(bits);
    const float half = c10::Half(raw, c10::Half::from_bits());
    const float bfloat = c10::BFloat16(raw, c10::BFloat16::from_bits());
    const auto same = [](float a, float b) {
      return float_to_bits(a) == float_to_bits(b) || (std::isnan(a) && std::isnan(b));
    };
    wrong += same(half_to_float(raw), half) && same(bfloat16_to_float(raw), bfloat) ? 0 : 1;
  }

  CHECK(wrong == 0);
}

TEST_CASE("magnitudes order as integers, and zeros have no sign", "[kernels]") {
  const float ascending[] = {0.0f, 1e-45f, 1e-38f, 0.5f, 1.0f, 3e38f, INFINITY};
  for (size_t i = 1; i < std::size(ascending); ++i) {
    CHECK(magnitude_bits(ascending[i - 1]) < magnitude_bits(-ascending[i]));
    CHECK(vote_sign(-ascending[i]) == -1);
    CHECK(vote_sign(ascending[i]) == 1);
  }
  CHECK(vote_sign(-0.0f) == 0);
  CHECK(is_finite(3e38f));
  CHECK_FALSE(is_finite(-INFINITY));
  CHECK_FALSE(is_finite(NAN));
}
