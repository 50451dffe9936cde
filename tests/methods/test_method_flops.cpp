// What the methods count agrees with the cost model: d is the number of merged scalars.
#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Operations per merged scalar, statistics included.
double flops_per_scalar(const std::string& ref, const Json& parameters, int experts) {
  constexpr int64_t kSize = 1000;
  std::vector<at::Tensor> models;
  for (int i = 0; i < experts; ++i) models.push_back(noise({kSize}, static_cast<uint64_t>(i)));
  const int64_t before = counters::flops;
  merge(ref, parameters, one_tensor_inputs(noise({kSize}, 99), models));
  return static_cast<double>(counters::flops - before) / kSize;
}

}  // namespace

TEST_CASE("counted operations agree with the cost model", "[methods][cost]") {
  const int n = 3;

  CHECK(flops_per_scalar("average", Json::object(), n) == Approx(n).epsilon(.05));
  CHECK(flops_per_scalar("linear", Json::object(), n) == Approx(n).epsilon(.05));
  CHECK(flops_per_scalar("task_arithmetic", Json::object(), n) == Approx(2 * n + 1).epsilon(.05));
  CHECK(flops_per_scalar("dare", Json::object(), n) == Approx(4 * n + 1).epsilon(.05));
  CHECK(flops_per_scalar("slerp", Json::object(), 2) == Approx(9).epsilon(.05));
  // mergekit's order of ties comes from one pass over the deltas.
  CHECK(flops_per_scalar("ties@mergekit", {{"density", .2}}, n) == Approx(5 * n).epsilon(.05));
  for (const char* ref : {"ties", "ties@tensor"}) {
    INFO(ref);
    const double ties = flops_per_scalar(ref, {{"density", .2}}, n);
    CHECK(ties >= .95 * 6 * n);
    CHECK(ties <= 1.05 * 8 * n);
  }
}

TEST_CASE("work that a configuration leaves out is not counted", "[methods][cost]") {
  // No thresholds to find at density 1, no majority to know with a fixed tie rule.
  const double whole = flops_per_scalar("ties", {{"density", 1}, {"elect.tie", "zero"}}, 3);

  CHECK(whole == 3 * 3 + 1);
  CHECK(flops_per_scalar("dare", {{"drop", 0}}, 3) == 2 * 3 + 1);
  CHECK(flops_per_scalar("linear", {{"weights", {1, 2, 3}}}, 3) == 2 * 3 - 1);
}

TEST_CASE("factorisations by Gram matrices cost no more than the SVDs of the cost model",
          "[methods][cost][spectral]") {
  const int64_t m = 480, n = 48, experts = 3;
  const auto flops = [&](const std::string& ref) {
    std::vector<at::Tensor> models;
    for (uint64_t i = 0; i < experts; ++i) models.push_back(noise({m, n}, i));
    const int64_t before = counters::flops;
    merge(ref, Json::object(), one_tensor_inputs(noise({m, n}, 99), models));
    return static_cast<double>(counters::flops - before);
  };
  constexpr double kSvd = 14.0 * m * n * n;
  // Gram matrix, its vectors, the product with these.
  const auto factors = [](int64_t rows, int64_t columns) {
    return static_cast<double>(4 * rows * columns * columns + 9 * columns * columns * columns);
  };
  const auto polar = [&](int64_t rows) {
    return factors(rows, n) + 2.0 * static_cast<double>(rows) * n * n;
  };
  constexpr double kElements = 1.0 * m * n;

  const double iso = flops("iso_c");
  CHECK(iso == Approx(polar(m) + (2 * experts + 5) * kElements).epsilon(.05));
  CHECK(iso <= 1.05 * kSvd);

  // A third of the singular vectors of each task vector, then all of them.
  constexpr double kLeading = (2 + 2 / 3.0) * m * n * n + 9.0 * n * n * n;
  const double tsv = flops("tsv_m");
  CHECK(tsv == Approx(experts * (kLeading + 2 * kElements) + polar(m) + polar(n) +
                      2 * kElements * n + 4 * kElements)
                   .epsilon(.05));
  CHECK(tsv <= 1.05 * (experts + 1) * kSvd);
}
