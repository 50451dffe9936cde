#include "harness/core/log.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>

#include "harness/core/one_line.h"
#include "harness/core/standard_streams.h"

namespace assay {
namespace {

LogLevel current_level = LogLevel::kInfo;
std::mutex output_mutex;
bool progress_line_shown = false;
std::atomic<int> progresses{0};  // that are not over

bool on_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

double now_s() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

void clear_progress_line() {
  if (progress_line_shown) write_standard_error("\r\033[K");
  progress_line_shown = false;
}

// One character less than the terminal's width: a full line would wrap on some.
size_t line_width() {
  constexpr size_t kUsual = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return (known ? size.ws_col : kUsual) - 1;
}

std::string duration_text(double seconds) {
  const int64_t total = std::lround(seconds);
  return total >= 60 ? fmt::format("{}m{:02}s", total / 60, total % 60) : fmt::format("{}s", total);
}

}  // namespace

void set_log_level(LogLevel level) { current_level = level; }

void log_line(LogLevel level, const std::string& text) {
  if (level > current_level) return;
  const std::lock_guard lock(output_mutex);
  clear_progress_line();
  write_standard_error(text + "\n");
}

void log_warning_once(const std::string& text) {
  // Process-wide, as the log is: a program opens the same files more than once.
  static std::mutex mutex;
  static std::set<std::string> written;
  const std::lock_guard lock(mutex);
  if (written.insert(text).second) log_warning("{}", text);
}

Progress::Progress(std::string title, int64_t total)
    : title_(std::move(title)),
      total_(total),
      inner_(progresses++ > 0),
      started_s_(now_s()),
      drawn_s_(started_s_) {}

Progress::~Progress() {
  --progresses;
  const std::lock_guard lock(output_mutex);
  clear_progress_line();
}

void Progress::advance(int64_t steps, const std::string& note) {
  done_ += steps;
  if (!note.empty())
    log_line(LogLevel::kDebug, fmt::format("{} {}/{}: {}", title_, done_, total_, note));
  // Redraw often on a terminal, rarely in a log file, and always at the end: of a part of something
  // larger, that one's progress says it.
  const double interval_s = on_terminal() ? 0.1 : 10.0;
  if ((done_ < total_ || inner_) && now_s() - drawn_s_ < interval_s) return;
  drawn_s_ = now_s();
  draw(note);
}

void Progress::draw(const std::string& note) {
  if (current_level < LogLevel::kInfo || total_ == 0 || done_ == 0) return;
  const double elapsed = now_s() - started_s_;
  const double left = elapsed / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  const std::string line = fmt::format("{} {}/{} ({}%) {} elapsed, {} left{}{}", title_, done_,
                                       total_, 100 * done_ / total_, duration_text(elapsed),
                                       duration_text(left), note.empty() ? "" : ": ", note);
  const std::lock_guard lock(output_mutex);
  if (on_terminal()) {
    write_standard_error(fmt::format("\r\033[K{}", one_line(line, line_width())));
    progress_line_shown = true;
  } else {
    write_standard_error(one_line(line, line.size()) + "\n");
  }
}

}  // namespace assay
