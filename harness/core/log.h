/// Messages to the person at the terminal, on standard error. Results go to standard output and
/// only harness/cli writes there.
#pragma once

#include <fmt/format.h>

#include <string>

namespace assay {

enum class LogLevel { kQuiet, kInfo, kDebug };

void set_log_level(LogLevel level);

/// Writes one line. Thread-safe: lines never mix. A progress line is cleared first.
void log_line(LogLevel level, const std::string& text);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kQuiet, "warning: " + fmt::format(format, std::forward<Args>(args)...));
}

/// Writes a warning the first time that the process has this text for it.
void log_warning_once(const std::string& text);

/// Progress of `total` steps with an estimate of the time left. On a terminal, one line no wider
/// than the terminal is redrawn; elsewhere a plain line is written every ten seconds. Silent at
/// LogLevel::kQuiet; at kDebug every note is a line of its own.
class Progress {
 public:
  Progress(std::string title, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Counts `steps` more as done; `note` says what was just finished.
  void advance(int64_t steps = 1, const std::string& note = "");

 private:
  void draw(const std::string& note);
  std::string title_;
  int64_t total_, done_ = 0;
  bool inner_;  ///< another one counts what this is a part of
  double started_s_, drawn_s_;
};

}  // namespace assay
