#include "harness/cost/peak.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace assay {
namespace {

std::optional<int64_t> read_resident_peak() {
  std::ifstream status("/proc/self/status");
  for (std::string field; status >> field;) {
    int64_t kibibytes = 0;
    if (field == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

bool reset_resident_peak() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;  // proc(5): resets the peak resident set size
  return clear.good();
}

}  // namespace

bool SharedPeak::begin(int64_t* peak) {
  const std::lock_guard lock(mutex_);
  update_locked();
  if (!reset_()) return false;
  *peak = 0;
  watched_.push_back(peak);
  return true;
}

void SharedPeak::update() {
  const std::lock_guard lock(mutex_);
  update_locked();
}

void SharedPeak::end(int64_t* peak) {
  const std::lock_guard lock(mutex_);
  std::erase(watched_, peak);
}

void SharedPeak::update_locked() {
  const std::optional<int64_t> mark = read_();
  if (!mark) return;
  for (int64_t* peak : watched_) *peak = std::max(*peak, *mark);
}

SharedPeak& resident_peak() {
  static SharedPeak peak(read_resident_peak, reset_resident_peak);
  return peak;
}

}  // namespace assay
