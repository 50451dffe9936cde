#include <ATen/ATen.h>

#include "harness/core/philox.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/dtype/dtype.h"
#include "tests/catch.h"

using namespace assay;

namespace {

constexpr at::ScalarType kTypes[] = {at::kFloat,    at::kDouble,        at::kHalf,
                                     at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2};

/// How many values differ in any bit; all NaN are one.
int64_t differing_values(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  const at::Tensor same =
      x.eq(y).logical_and(x.signbit().eq(y.signbit())).logical_or(x.isnan().logical_and(y.isnan()));
  return same.logical_not().sum().item<int64_t>();
}

/// Every value of a 16-bit or 8-bit dtype.
at::Tensor all_values(at::ScalarType type) {
  if (c10::elementSize(type) == 1) return at::arange(256).to(at::kByte).view(type);
  return at::arange(65536).to(at::kShort).view(type);
}

/// Float32 of all exponents and signs: random bits, and everything near what rounds to a bfloat16,
/// a half or a float8: halfway between two of them and one bit to either side.
at::Tensor difficult_floats() {
  std::vector<at::Tensor> all;
  std::vector<int32_t> bits(1 << 20);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<int32_t>(philox_bits(1, i));
  all.push_back(at::tensor(bits, at::kInt).view(at::kFloat));
  for (const auto type : {at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const at::Tensor exact = all_values(type).to(at::kFloat).view(at::kInt);
    const int kept = type == at::kHalf            ? 10
                     : type == at::kBFloat16      ? 7
                     : type == at::kFloat8_e4m3fn ? 3
                                                  : 2;
    // The smallest subnormals' halfway points have exponents of their own.
    for (int cut = 23 - kept; cut <= 23; ++cut)
      for (const int nudge : {-1, 0, 1})
        all.push_back((exact + (1 << (cut - 1)) + nudge).view(at::kFloat));
  }
  all.push_back(at::tensor({0.0f,     -0.0f,    INFINITY, -INFINITY,     NAN,          1e-45f,
                            -1e-45f,  1e-40f,   3.4e38f,  65504.0f,      65519.9f,     65520.0f,
                            448.0f,   463.9f,   464.0f,   464.1f,        479.9f,       480.0f,
                            57344.0f, 61439.9f, 61440.0f, 2.9802322e-8f, 2.9802326e-8f}));
  return at::cat(all);
}

}  // namespace

TEST_CASE("every narrow value converts to every dtype as LibTorch converts it", "[kernels]") {
  for (const auto from : {at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2})
    for (const auto to : kTypes) {
      CAPTURE(from, to);
      const at::Tensor got = convert(all_values(from), to);
      CHECK(got.scalar_type() == to);
      // By way of float32 here, as not all pairs of narrow dtypes are in LibTorch directly.
      CHECK(differing_values(got, all_values(from).to(at::kFloat).to(to)) == 0);
    }
}

TEST_CASE("float32 and float64 round as in LibTorch, once, to nearest even", "[kernels]") {
  const at::Tensor floats = difficult_floats();

  for (const auto to : kTypes) {
    CAPTURE(to);
    CHECK(differing_values(convert(floats, to), floats.to(to)) == 0);
    CHECK(differing_values(convert(floats.to(at::kDouble), to), floats.to(to)) == 0);
  }
}

TEST_CASE("conversions keep shapes and take any memory layout", "[kernels]") {
  const at::Tensor grid = at::arange(6, at::kFloat).reshape({2, 3}).t();

  CHECK(at::equal(convert(grid, at::kHalf), grid.to(at::kHalf)));
  CHECK(at::equal(convert(grid, at::kFloat), grid));
  CHECK(convert(at::empty({0, 3}), at::kBFloat16).sizes() == at::IntArrayRef({0, 3}));
  at::Tensor into = at::empty({3, 2}, at::kBFloat16);
  convert_into(grid, into);
  CHECK(at::equal(into.to(at::kFloat), grid));
}

TEST_CASE("round_to gives the nearest value of the dtype", "[kernels]") {
  CHECK(round_to(1.003f, DType::kFloat32) == 1.003f);
  CHECK(round_to(1.003f, DType::kBFloat16) == 1.0f);
  CHECK(round_to(1.00390625f, DType::kBFloat16) == 1.0f);  // halfway: to even
  CHECK(round_to(1.01171875f, DType::kBFloat16) == 1.015625f);
  CHECK(round_to(65520.0f, DType::kFloat16) == INFINITY);
  CHECK(round_to(17.0f, DType::kFloat8E4M3) == 16.0f);
}
