#include "harness/sweep/worker_count.h"

#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

// A sweep of small models on an idle machine.
SweepLoad small_load() {
  return {.on_cpu = true, .threads = 8, .largest = 1'000'000, .free_memory = 64 * kGiB};
}

}  // namespace

TEST_CASE("small models have a worker per thread, large ones share all threads", "[sweep]") {
  SweepLoad load = small_load();
  CHECK(choose_workers(load).workers == 8);
  CHECK_THAT(choose_workers(load).why, Contains("1.0 M values"));
  load.largest = 1'000'000'000;
  CHECK(choose_workers(load).workers == 1);
  CHECK_THAT(choose_workers(load).why, Contains("1000.0 M values, above"));
}

TEST_CASE("no more workers are chosen than memory holds", "[sweep]") {
  SweepLoad load = small_load();
  load.free_memory = 4 * kGiB;  // half of it: three programs of 512 MiB with their models
  CHECK(choose_workers(load).workers == 3);
  CHECK_THAT(choose_workers(load).why, Contains("memory holds 3"));
  load.free_memory = 0;
  CHECK(choose_workers(load).workers == 1);
}

TEST_CASE("one worker where a number would be a guess or of no use", "[sweep]") {
  SweepLoad load = small_load();
  load.largest = 0;
  CHECK(choose_workers(load).workers == 1);
  CHECK_THAT(choose_workers(load).why, Contains("decided again"));
  load = small_load();
  load.on_cpu = false;
  CHECK(choose_workers(load).workers == 1);
  load = small_load();
  load.threads = 1;
  CHECK(choose_workers(load).workers == 1);
}
