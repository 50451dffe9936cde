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
