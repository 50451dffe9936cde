/// What a piece of work cost, and the process-wide counters that the parts of Assay add to while
/// they work. harness/cost reads them. A value that could not be measured is absent, never zero.
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
  /// The most that the whole process held, in memory and, absent on CPU, on the device.
  std::optional<int64_t> peak_rss_bytes{};
  std::optional<int64_t> peak_device_bytes{};
  /// The same less what the process held when the work began.
  std::optional<int64_t> own_peak_rss_bytes{};
  std::optional<int64_t> own_peak_device_bytes{};
  std::optional<int64_t> flops{};       ///< counted from the operators that ran; absent where a
                                        ///< count of one of them is not known
  std::optional<int64_t> bytes_read{};  ///< checkpoint bytes
  std::optional<int64_t> bytes_written{};
  std::optional<int64_t> examples{};  ///< data items that went through a model
  std::optional<int64_t> gradient_steps{};

  /// Sums what adds up and takes the maximum of peaks. A value absent on both sides stays absent;
  /// one absent on one side only makes the sum unknown, hence absent (peaks: the known one).
  Cost& operator+=(const Cost& other);
};

void to_json(nlohmann::json& json, const Cost& cost);
void from_json(const nlohmann::json& json, Cost& cost);

namespace counters {

/// What one thread counted.
struct Tally {
  int64_t flops = 0, bytes_read = 0, bytes_written = 0, examples = 0, gradient_steps = 0,
          unknown_operators = 0;
};
inline thread_local Tally of_thread;

/// What all threads counted. Adding also adds to the tally of the thread.
class Counter {
 public:
  explicit constexpr Counter(int64_t Tally::*field) : field_(field) {}
  void operator+=(int64_t count) {
    all_ += count;
    of_thread.*field_ += count;
  }
  operator int64_t() const { return all_; }

 private:
  int64_t Tally::*field_;
  std::atomic<int64_t> all_{0};
};

inline Counter flops{&Tally::flops};
inline Counter bytes_read{&Tally::bytes_read};
inline Counter bytes_written{&Tally::bytes_written};
inline Counter examples{&Tally::examples};
inline Counter gradient_steps{&Tally::gradient_steps};
/// Calls of operators that do arithmetic of which no count is known.
inline Counter unknown_operators{&Tally::unknown_operators};

/// How many threads work side by side, each at something of its own, of which this is one; 1 where
/// all that the process does belongs together. side_by_side() sets it.
inline thread_local int threads_apart = 1;

}  // namespace counters

}  // namespace assay
