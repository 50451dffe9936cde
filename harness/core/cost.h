/// The cost of a span of work, and the process-wide counters that all modules add to. harness/cost
/// reads them. A value that could not be measured is absent, never zero.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

namespace assay {

struct Cost {
  std::optional<double> wall_s{};
  std::optional<double> cpu_s{};     ///< CPU time, all threads of the work
  std::optional<double> device_s{};  ///< time the accelerator was busy; absent on CPU
  /// The peak memory of the whole process: resident and, absent on CPU, on the device.
  std::optional<int64_t> peak_rss_bytes{};
  std::optional<int64_t> peak_device_bytes{};
  /// The same, less what the process held when the span began.
  std::optional<int64_t> own_peak_rss_bytes{};
  std::optional<int64_t> own_peak_device_bytes{};
  std::optional<int64_t> flops{};       ///< counted from the operators that ran; absent where a
                                        ///< count of one of them is not known
  std::optional<int64_t> bytes_read{};  ///< checkpoint bytes
  std::optional<int64_t> bytes_written{};
  std::optional<int64_t> examples{};  ///< data items that went through a model
  std::optional<int64_t> gradient_steps{};

  /// Sums the costs; peaks are combined by their maximum. A value absent on one side makes the sum
  /// unknown, hence absent (peaks: the known one is kept).
  Cost& operator+=(const Cost& other);
};

void to_json(nlohmann::json& json, const Cost& cost);
void from_json(const nlohmann::json& json, Cost& cost);

namespace counters {

/// The counts of one thread.
struct ThreadCounts {
  int64_t flops = 0, bytes_read = 0, bytes_written = 0, examples = 0, gradient_steps = 0,
          unknown_operators = 0;
};
inline thread_local ThreadCounts of_thread;

/// The count of all threads. Adding also adds to the thread's own counts.
class Counter {
 public:
  explicit constexpr Counter(int64_t ThreadCounts::*field) : field_(field) {}
  void operator+=(int64_t count) {
    all_ += count;
    of_thread.*field_ += count;
  }
  operator int64_t() const { return all_; }

 private:
  int64_t ThreadCounts::*field_;
  std::atomic<int64_t> all_{0};
};

inline Counter flops{&ThreadCounts::flops};
inline Counter bytes_read{&ThreadCounts::bytes_read};
inline Counter bytes_written{&ThreadCounts::bytes_written};
inline Counter examples{&ThreadCounts::examples};
inline Counter gradient_steps{&ThreadCounts::gradient_steps};
/// Calls of operators whose FLOPs are unknown.
inline Counter unknown_operators{&ThreadCounts::unknown_operators};

/// The number of threads that now work concurrently on separate items, including this one. 1 where
/// all work of the process belongs to one span.
inline thread_local int concurrent_threads = 1;

}  // namespace counters

}  // namespace assay
