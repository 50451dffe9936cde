/// Child processes: run one and read its output, or keep one and exchange lines with it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace assay {

struct ProcessResult {
  int exit_code = 0;   ///< 128 + signal when a signal ended it; 127 when it could not be started
  std::string output;  ///< standard output and standard error together
};

/// The file of a program. A name without a folder is looked up in the absolute folders of PATH, so
/// that nothing in the current folder is run. Empty when there is none.
std::string find_program(const std::string& name);

/// Runs a program, found by find_program(), to its end. No shell is involved. DataError when its
/// output cannot be read.
ProcessResult run_process(const std::vector<std::string>& command);

/// A child with its standard input and output on pipes; standard error is inherited.
class ChildProcess {
 public:
  /// `environment` entries ("NAME=value") are added to this process's own.
  explicit ChildProcess(const std::vector<std::string>& command,
                        const std::vector<std::string>& environment = {});
  /// Closes the pipes; a child still running is killed and reaped.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// False when the child no longer reads.
  bool write_line(const std::string& line);
  /// The next line without its line end; absent when the child closed its output.
  std::optional<std::string> read_line();
  /// For poll(2): readable when a line may have arrived.
  int output_descriptor() const { return output_; }
  bool has_buffered_line() const { return buffer_.find('\n') != std::string::npos; }
  /// Closes the child's input and waits until it ends. Returns as ProcessResult::exit_code.
  int wait();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int input_ = -1, output_ = -1;
  std::string buffer_;
};

/// "exit code 3" or "signal 11 (Segmentation fault)" for ProcessResult::exit_code.
std::string exit_text(int exit_code);

}  // namespace assay
