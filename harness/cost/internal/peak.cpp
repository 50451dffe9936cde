#include "harness/cost/internal/peak.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace assay {
namespace {

std::optional<int64_t> read_resident_peak() {
  // getrusage() would be faster, but inherits the peak of the parent process. Files are kept open:
  // short work is measured, too.
  static const int file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  std::array<char, 1 << 14> text{};
  const ssize_t size = file < 0 ? -1 : ::pread(file, text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  const std::string_view status(text.data(), static_cast<size_t>(size));
  constexpr std::string_view kField = "VmHWM:";
  const size_t field = status.find(kField);
  const size_t number = status.find_first_of("0123456789", field);
  if (field == std::string_view::npos || number == std::string_view::npos) return std::nullopt;
  int64_t kibibytes = 0;
  std::from_chars(status.data() + number, status.data() + status.size(), kibibytes);
  return kibibytes * 1024;
}

bool reset_resident_peak() {
  static const int file = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  // proc(5): "5" resets the peak resident set size.
  return file >= 0 && ::pwrite(file, "5", 1, 0) == 1;
}

}  // namespace

std::optional<int64_t> SharedPeak::begin(int64_t* peak) {
  const std::lock_guard lock(mutex_);
  update_locked();
  if (!reset_()) return std::nullopt;
  const std::optional<int64_t> in_use = read_();  // the mark after a reset
  if (!in_use) return std::nullopt;
  *peak = *in_use;
  watched_.push_back(peak);
  return in_use;
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
