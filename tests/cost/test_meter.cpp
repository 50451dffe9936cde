#include <ATen/ATen.h>
#include <sys/mman.h>

#include <chrono>
#include <thread>

#include "harness/cost/internal/peak.h"
#include "harness/cost/meter.h"
#include "tests/catch.h"
#include "tests/skip.h"

using namespace assay;

namespace {

/// Takes memory from the system, touches it and gives it back.
void touch_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  volatile char* touched = static_cast<char*>(memory);
  for (size_t i = 0; i < bytes; i += 4096) touched[i] = 1;
  munmap(memory, bytes);
}

/// For a new thread: works for a tenth of a second.
void burn_cpu() {
  timespec time{};
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  while (time.tv_sec == 0 && time.tv_nsec < 100'000'000);
}

constexpr int64_t kMegabyte = 1 << 20;

}  // namespace

TEST_CASE("a meter takes differences of the counters", "[cost]") {
  counters::examples += 100;
  Meter meter;
  counters::flops += 5;
  counters::bytes_read += 6;
  counters::bytes_written += 7;
  counters::examples += 8;
  counters::gradient_steps += 9;
  const Cost cost = meter.stop();
  counters::flops += 1000;

  CHECK(cost.flops == 5);
  CHECK(cost.bytes_read == 6);
  CHECK(cost.bytes_written == 7);
  CHECK(cost.examples == 8);
  CHECK(cost.gradient_steps == 9);
}

TEST_CASE("a meter among threads side by side sees its own alone", "[cost]") {
  Cost cost;
  const auto start = std::chrono::steady_clock::now();
  std::thread([&] {
    counters::threads_apart = 4;
    Meter meter;
    counters::flops += 5;
    std::thread([] {
      counters::flops += 100;
      burn_cpu();
    }).join();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cost = meter.stop();
  }).join();

  CHECK(cost.flops == 5);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  CHECK(*cost.wall_s >= 0.05);
  CHECK(*cost.wall_s <= passed.count() / 4);
  CHECK(*cost.cpu_s < 0.05);
  CHECK_FALSE(cost.peak_rss_bytes);
}

TEST_CASE("a meter on the CPU knows nothing of a device", "[cost]") {
  const Cost cost = Meter().stop();

  CHECK_FALSE(cost.device_s.has_value());
  CHECK_FALSE(cost.peak_device_bytes.has_value());
  CHECK(nlohmann::json(cost).at("device_s").is_null());
}

TEST_CASE("sleeping costs wall time and no CPU time", "[cost]") {
  Meter meter;
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const Cost cost = meter.stop();

  CHECK(*cost.wall_s >= 0.2);
  CHECK(*cost.cpu_s < 0.1);
}

TEST_CASE("CPU time sums over threads", "[cost]") {
  Meter meter;
  std::thread first(burn_cpu), second(burn_cpu);
  first.join();
  second.join();

  CHECK(*meter.stop().cpu_s >= 0.2);
}

TEST_CASE("a later span does not inherit an earlier peak, and an outer span keeps it",
          "[cost][optional]") {
  Meter outer;
  if (!outer.stop().peak_rss_bytes)
    testing::skip("this system does not let the peak of resident memory be reset");
  touch_memory(200 * kMegabyte);
  Meter inner;
  touch_memory(50 * kMegabyte);
  const int64_t inner_bytes = *inner.stop().peak_rss_bytes;
  const int64_t outer_bytes = *outer.stop().peak_rss_bytes;

  CHECK(inner_bytes > 50 * kMegabyte);
  CHECK(outer_bytes - inner_bytes > 100 * kMegabyte);
}

TEST_CASE("a shared peak hands the mark to every span before a reset", "[cost]") {
  int64_t in_use = 10, mark = 10;
  const auto use = [&](int64_t bytes) {
    in_use = bytes;
    mark = std::max(mark, bytes);
  };
  SharedPeak peak([&] { return mark; },
                  [&] {
                    mark = in_use;
                    return true;
                  });
  int64_t outer = 0, inner = 0;

  REQUIRE(peak.begin(&outer));
  use(70);
  use(20);
  REQUIRE(peak.begin(&inner));
  use(30);
  use(5);
  peak.update();
  CHECK(inner == 30);
  CHECK(outer == 70);
  peak.end(&inner);
  use(90);
  peak.update();

  CHECK(inner == 30);
  CHECK(outer == 90);
}

TEST_CASE("a peak that cannot be reset is not watched", "[cost]") {
  SharedPeak peak([] { return 50; }, [] { return false; });
  int64_t bytes = -1;

  CHECK_FALSE(peak.begin(&bytes));
  peak.update();
  CHECK(bytes == -1);
}
