#include "harness/cost/peak.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace assay {
namespace {

std::optional<int64_t> read_resident_peak() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return std::nullopt;
  return int64_t{usage.ru_maxrss} * 1024;
}

bool reset_resident_peak() {
  // Kept open: small pieces of work are measured, too.
  static const int file = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  // proc(5): "5" resets the peak resident set size, which is also that of getrusage().
  return file >= 0 && ::pwrite(file, "5", 1, 0) == 1;
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
