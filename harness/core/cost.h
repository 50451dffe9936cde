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
  std::optional<double> cpu_s{};     ///< process CPU time, all threads
  std::optional<double> device_s{};  ///< time the accelerator was busy; absent on CPU
  std::optional<int64_t> peak_rss_bytes{};
  std::optional<int64_t> peak_device_bytes{};  ///< absent on CPU
  std::optional<int64_t> flops{};              ///< counted from the operators that ran
  std::optional<int64_t> bytes_read{};         ///< checkpoint bytes
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
inline std::atomic<int64_t> flops{0};
inline std::atomic<int64_t> bytes_read{0};
inline std::atomic<int64_t> bytes_written{0};
inline std::atomic<int64_t> examples{0};
inline std::atomic<int64_t> gradient_steps{0};
}  // namespace counters

}  // namespace assay
