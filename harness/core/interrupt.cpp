#include "harness/core/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <list>

#include "harness/core/error.h"

namespace assay {
namespace {

// What a signal handler may touch.
std::atomic<const char*> current_note = nullptr;
std::atomic<int> deferred = 0, first_signal = 0;
std::atomic<int> wake_read = -1, wake_write = -1;

void on_signal(int signal) {
  const int kept_errno = errno;
  int none = 0;
  const bool first = first_signal.compare_exchange_strong(none, signal);
  if (!(first && deferred > 0)) {
    const char* note = current_note;
    if (note && ::write(STDERR_FILENO, note, std::strlen(note)) < 0) {
      // A failed write is ignored: the process ends anyway.
    }
    ::_exit(128 + signal);
  }
  if (::write(wake_write, "x", 1) < 0) {
    // A failed write means that the pipe already holds a byte.
  }
  errno = kept_errno;
}

void install() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    data_error("cannot create a pipe: {}", std::strerror(errno));
  wake_read = ends[0];
  wake_write = ends[1];
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;  // nohup, or a shell's background
    action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void set_interrupt_note(const std::string& note) {
  static std::list<std::string> notes;  // a handler may be reading an old one
  const char* clear_line = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
  notes.push_back(fmt::format("{}assay: stopped; {}\n", clear_line, note));
  current_note = notes.back().c_str();
  if (notes.size() == 1) install();
}

DeferInterrupts::DeferInterrupts() { ++deferred; }
DeferInterrupts::~DeferInterrupts() { --deferred; }

int interrupt_descriptor() { return wake_read; }
int interrupt_signal() { return first_signal; }

}  // namespace assay
