#include "harness/core/cost.h"
#include "tests/catch.h"

using namespace assay;

TEST_CASE("costs are summed, and peaks take the maximum", "[core]") {
  Cost a{
      .wall_s = 1.5, .peak_rss_bytes = 100, .own_peak_rss_bytes = 10, .flops = 10, .examples = 4};
  a += Cost{
      .wall_s = 2.0, .peak_rss_bytes = 70, .own_peak_rss_bytes = 40, .flops = 5, .examples = 1};

  CHECK(a.wall_s == 3.5);
  CHECK(a.peak_rss_bytes == 100);
  CHECK(a.own_peak_rss_bytes == 40);
  CHECK(a.flops == 15);
  CHECK(a.examples == 5);
  CHECK_FALSE(a.device_s);
}

TEST_CASE("a sum with an unknown part is unknown, a peak is not", "[core]") {
  Cost a{.wall_s = 1.0, .peak_device_bytes = 8, .own_peak_device_bytes = 3, .flops = 10};
  a += Cost{.wall_s = 1.0, .peak_rss_bytes = 9, .own_peak_rss_bytes = 2};

  CHECK(a.wall_s == 2.0);
  CHECK_FALSE(a.flops);
  CHECK(a.peak_device_bytes == 8);
  CHECK(a.peak_rss_bytes == 9);
  CHECK(a.own_peak_device_bytes == 3);
  CHECK(a.own_peak_rss_bytes == 2);
}

TEST_CASE("costs survive a JSON round trip, absent values as null", "[core]") {
  const Cost cost{
      .wall_s = 0.25, .own_peak_rss_bytes = 0, .flops = int64_t{1} << 60, .gradient_steps = 0};
  const nlohmann::json json = cost;
  CHECK(json["cpu_s"].is_null());
  CHECK(json["gradient_steps"] == 0);
  CHECK(json["own_peak_device_bytes"].is_null());

  const Cost back = json.get<Cost>();
  CHECK(back.wall_s == 0.25);
  CHECK(back.flops == int64_t{1} << 60);
  CHECK(back.gradient_steps == 0);
  CHECK(back.own_peak_rss_bytes == 0);
  CHECK_FALSE(back.cpu_s);
}
