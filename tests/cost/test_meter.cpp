#include <ATen/ATen.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "harness/cost/internal/peak.h"
#include "harness/cost/meter.h"
#include "tests/catch.h"
#include "tests/skip.h"

using namespace assay;

namespace {

/// Memory from the system, touched, and given back at the end.
class Touched {
 public:
  explicit Touched(size_t bytes) : bytes_(bytes) {
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory_ != MAP_FAILED);
    volatile char* touched = static_cast<char*>(memory_);
    for (size_t i = 0; i < bytes; i += 4096) touched[i] = 1;
  }
  ~Touched() { munmap(memory_, bytes_); }
  Touched(const Touched&) = delete;
  Touched& operator=(const Touched&) = delete;

 private:
  size_t bytes_;
  void* memory_;
};

void touch_memory(size_t bytes) { const Touched memory(bytes); }

/// For a new thread: works for a tenth of a second.
void burn_cpu() {
  timespec time{};
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  while (time.tv_sec == 0 && time.tv_nsec < 100'000'000);
}

constexpr int64_t kMegabyte = 1 << 20;

void skip_without_peaks(Meter& meter) {
  if (!meter.stop().peak_rss_bytes)
    testing::skip("this system does not let the peak of resident memory be reset");
}

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

TEST_CASE("a meter among concurrent threads measures its own thread only", "[cost]") {
  Cost cost;
  const auto start = std::chrono::steady_clock::now();
  std::thread([&] {
    counters::concurrent_threads = 4;
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
  CHECK_FALSE(cost.own_peak_rss_bytes);
}

TEST_CASE("a meter on the CPU has no device values", "[cost]") {
  const Cost cost = Meter().stop();

  CHECK_FALSE(cost.device_s.has_value());
  CHECK_FALSE(cost.peak_device_bytes.has_value());
  CHECK_FALSE(cost.own_peak_device_bytes.has_value());
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
  skip_without_peaks(outer);
  touch_memory(200 * kMegabyte);
  Meter inner;
  touch_memory(50 * kMegabyte);
  const int64_t inner_bytes = *inner.stop().peak_rss_bytes;
  const int64_t outer_bytes = *outer.stop().peak_rss_bytes;

  CHECK(inner_bytes > 50 * kMegabyte);
  CHECK(outer_bytes - inner_bytes > 100 * kMegabyte);
}

TEST_CASE("an own peak leaves out what the process held before", "[cost][optional]") {
  const Touched held(300 * kMegabyte);
  Meter outer;
  skip_without_peaks(outer);
  touch_memory(200 * kMegabyte);
  const Touched kept(40 * kMegabyte);
  Meter inner;
  touch_memory(50 * kMegabyte);
  const Cost of_inner = inner.stop(), of_outer = outer.stop(), of_nothing = Meter().stop();

  // The kernel counts pages in batches, per processor.
  constexpr int64_t kTolerance = 8 * kMegabyte;
  CHECK(*of_inner.peak_rss_bytes > 390 * kMegabyte - kTolerance);
  CHECK(std::abs(*of_inner.own_peak_rss_bytes - 50 * kMegabyte) < kTolerance);
  CHECK(std::abs(*of_outer.own_peak_rss_bytes - 200 * kMegabyte) < kTolerance);
  CHECK(*of_nothing.own_peak_rss_bytes >= 0);
  CHECK(*of_nothing.own_peak_rss_bytes < kTolerance);
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

  REQUIRE(peak.begin(&outer) == 10);
  use(70);
  use(20);
  REQUIRE(peak.begin(&inner) == 20);
  CHECK(inner == 20);
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

TEST_CASE("a peak that cannot be reset or read is not watched", "[cost]") {
  const bool resets = GENERATE(false, true);  // where it does, the mark cannot be read
  SharedPeak peak([&] { return resets ? std::nullopt : std::optional<int64_t>(50); },
                  [&] { return resets; });
  int64_t bytes = -1;

  CHECK_FALSE(peak.begin(&bytes));
  peak.update();
  CHECK(bytes == -1);
}
