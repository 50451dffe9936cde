#include "harness/kernels/assignment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/rng.h"
#include "tests/catch.h"

using namespace assay;

namespace {

double sum_of(const at::Tensor& scores, const std::vector<int64_t>& columns) {
  double sum = 0;
  for (size_t i = 0; i < columns.size(); ++i)
    sum += scores[static_cast<int64_t>(i)][columns[i]].item<double>();
  return sum;
}

double best_sum(const at::Tensor& scores) {
  std::vector<int64_t> order(static_cast<size_t>(scores.size(0)));
  std::iota(order.begin(), order.end(), 0);
  double best = -std::numeric_limits<double>::infinity();
  do best = std::max(best, sum_of(scores, order));
  while (std::next_permutation(order.begin(), order.end()));
  return best;
}

bool is_permutation(std::vector<int64_t> columns) {
  std::sort(columns.begin(), columns.end());
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i] != static_cast<int64_t>(i)) return false;
  return true;
}

/// As scripts/peers/assignment_goldens.py makes them.
at::Tensor hashed_matrix(int64_t n) {
  at::Tensor scores = at::empty({n, n}, at::kDouble);
  double* values = scores.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      uint64_t x = static_cast<uint64_t>(i * 2654435761 + j * 40503 + i * j * 97) & 0xffffffff;
      x = ((x ^ (x >> 15)) * 2246822519) & 0xffffffff;
      x = ((x ^ (x >> 13)) * 3266489917) & 0xffffffff;
      values[i * n + j] = static_cast<double>(x ^ (x >> 16)) / 4294967296.0;
    }
  return scores;
}

}  // namespace

TEST_CASE("an assignment has the best sum there is", "[kernels][assignment]") {
  Rng rng(7);
  for (int draw = 0; draw < 200; ++draw) {
    const int64_t n = 1 + rng.below(6);
    at::Tensor scores = at::empty({n, n}, at::kDouble);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        // Half of the matrices have few values, so that many sums are equal.
        scores[i][j] = draw % 2 == 0 ? rng.normal() : static_cast<double>(rng.below(3)) - 1;
    const auto largest = assign(scores, Assign::kMaximize, "units");
    REQUIRE(is_permutation(largest));
    CHECK(sum_of(scores, largest) == Approx(best_sum(scores)).margin(1e-12));
    const auto smallest = assign(scores, Assign::kMinimize, "units");
    REQUIRE(is_permutation(smallest));
    CHECK(sum_of(scores, smallest) == Approx(-best_sum(-scores)).margin(1e-12));
  }
}

TEST_CASE("assignments have SciPy's sums", "[golden][assignment]") {
  const Json golden =
      read_json(std::filesystem::path(ASSAY_TESTS_FOLDER) / "golden" / "assignment.json");
  for (const auto& [size, sum] : golden.items()) {
    INFO(size);
    const at::Tensor scores = hashed_matrix(std::stoll(size));
    const auto columns = assign(scores, Assign::kMaximize, "units");
    REQUIRE(is_permutation(columns));
    const double own = scores.gather(1, at::tensor(columns).unsqueeze(1)).sum().item<double>();
    CHECK(own == Approx(sum.get<double>()).epsilon(1e-9));
  }
}

TEST_CASE("a constant matrix is assigned as it is", "[kernels][assignment]") {
  for (const int64_t n : {0, 1, 5, 64}) {
    const auto columns = assign(at::full({n, n}, 2.5f), Assign::kMaximize, "units");
    REQUIRE(columns.size() == static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) CHECK(columns[static_cast<size_t>(i)] == i);
  }
}

TEST_CASE("what is no number cannot be assigned", "[kernels][assignment]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {std::nan(""), infinity, -infinity}) {
    at::Tensor scores = at::ones({3, 3}, at::kDouble);
    scores[1][2] = bad;
    CHECK_THROWS_WITH(assign(scores, Assign::kMaximize, "the units of 'fc.weight'"),
                      Catch::Contains("the units of 'fc.weight'"));
  }
  CHECK_THROWS_AS(assign(at::ones({2, 3}), Assign::kMaximize, "units"), DataError);
}
