/// Ctrl-C and SIGTERM: the program prints what is kept and how to resume, and ends.
#pragma once

#include <stdexcept>
#include <string>

namespace assay {

/// The user stopped the program.
struct Interrupted : std::runtime_error {
  Interrupted(int number, const std::string& what) : std::runtime_error(what), signal(number) {}
  int exit_code() const { return 128 + signal; }
  int signal;
};

/// From now on, SIGINT or SIGTERM prints "assay: stopped; NOTE" on standard error and ends the
/// process with 128 + signal, at once. Files being written must survive that, as they survive a
/// kill. A signal that this process inherited as ignored (nohup) stays ignored.
void set_interrupt_note(const std::string& note);

/// While one exists, the first signal only makes interrupt_descriptor() readable and
/// interrupt_signal() return it; the second one ends the process as above.
class DeferInterrupts {
 public:
  DeferInterrupts();
  ~DeferInterrupts();
  DeferInterrupts(const DeferInterrupts&) = delete;
  DeferInterrupts& operator=(const DeferInterrupts&) = delete;
};

/// For poll(2); stays readable. -1 before set_interrupt_note().
int interrupt_descriptor();
/// 0 when none came.
int interrupt_signal();

}  // namespace assay
