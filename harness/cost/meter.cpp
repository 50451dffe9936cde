#include "harness/cost/meter.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <time.h>

#include <chrono>
#include <map>

#include "harness/cost/internal/peak.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

double cpu_s(bool of_thread) {
  timespec time{};
  clock_gettime(of_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

counters::ThreadCounts counted(bool by_thread) {
  if (by_thread) return counters::of_thread;
  return {counters::flops,    counters::bytes_read,     counters::bytes_written,
          counters::examples, counters::gradient_steps, counters::unknown_operators};
}

/// One per device, shared by all meters on it.
SharedPeak& device_peak(at::Device device) {
  // Process-wide, as the allocators are whose peaks these hold.
  static std::mutex mutex;
  static std::map<std::string, SharedPeak> peaks;
  const std::lock_guard lock(mutex);
  const auto read = [device]() -> std::optional<int64_t> {
    constexpr auto kAggregate =
        static_cast<size_t>(at::CachingDeviceAllocator::StatType::AGGREGATE);
    const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return stats.allocated_bytes[kAggregate].peak;
  };
  const auto reset = [device] {
    at::getDeviceAllocator(device.type())->resetPeakStats(device.index());
    return true;
  };
  return peaks.try_emplace(device.str(), read, reset).first->second;
}

/// Time and peak memory of an accelerator.
class DeviceSpan {
 public:
  explicit DeviceSpan(at::Device device)
      : guard_(device.type()), device_(with_index(device)), peak_(device_peak(device_)) {
    guard_.synchronizeDevice(device_.index());
    bytes_before_ = peak_.begin(&peak_bytes_);
    start_.record(guard_.getStream(device_));
  }
  ~DeviceSpan() { peak_.end(&peak_bytes_); }
  DeviceSpan(const DeviceSpan&) = delete;
  DeviceSpan& operator=(const DeviceSpan&) = delete;

  void fill(Cost& cost) {
    c10::Event stop(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    stop.record(guard_.getStream(device_));
    guard_.synchronizeDevice(device_.index());
    cost.device_s = start_.elapsedTime(stop) * 1e-3;
    if (!bytes_before_) return;
    peak_.update();
    cost.peak_device_bytes = peak_bytes_;
    cost.own_peak_device_bytes = peak_bytes_ - *bytes_before_;
  }

 private:
  at::Device with_index(at::Device device) const {
    at::globalContext().lazyInitDevice(device.type());
    return device.has_index() ? device : guard_.getDevice();
  }

  c10::impl::VirtualGuardImpl guard_;
  at::Device device_;
  SharedPeak& peak_;
  int64_t peak_bytes_ = 0;
  std::optional<int64_t> bytes_before_;
  // An event with default flags records the time.
  c10::Event start_{device_.type(), c10::EventFlag::BACKEND_DEFAULT};
};

}  // namespace

struct Meter::State {
  int threads = counters::concurrent_threads;
  bool concurrent = threads > 1;
  int64_t resident_bytes = 0;
  std::optional<int64_t> resident_before =
      concurrent ? std::nullopt : resident_peak().begin(&resident_bytes);
  std::optional<DeviceSpan> device;
  counters::ThreadCounts counts;
  double cpu = 0;
  Clock::time_point start;

  ~State() {
    if (!concurrent) resident_peak().end(&resident_bytes);
  }
};

Meter::Meter(at::Device device) : state_(std::make_unique<State>()) {
  count_operator_flops();
  if (!device.is_cpu()) state_->device.emplace(device);
  state_->counts = counted(state_->concurrent);
  state_->cpu = cpu_s(state_->concurrent);
  state_->start = Clock::now();
}

Meter::~Meter() = default;

Cost Meter::stop() {
  Cost cost;
  if (state_->device) state_->device->fill(cost);
  cost.wall_s = std::chrono::duration<double>(Clock::now() - state_->start).count() /
                static_cast<double>(state_->threads);
  cost.cpu_s = cpu_s(state_->concurrent) - state_->cpu;
  if (state_->resident_before) {
    resident_peak().update();
    cost.peak_rss_bytes = state_->resident_bytes;
    cost.own_peak_rss_bytes = state_->resident_bytes - *state_->resident_before;
  }
  const counters::ThreadCounts now = counted(state_->concurrent), &then = state_->counts;
  if (now.unknown_operators == then.unknown_operators) cost.flops = now.flops - then.flops;
  cost.bytes_read = now.bytes_read - then.bytes_read;
  cost.bytes_written = now.bytes_written - then.bytes_written;
  cost.examples = now.examples - then.examples;
  cost.gradient_steps = now.gradient_steps - then.gradient_steps;
  return cost;
}

}  // namespace assay
