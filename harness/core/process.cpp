#include "harness/core/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include "harness/core/error.h"

extern char** environ;

namespace assay {
namespace {

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) data_error("cannot create a pipe: {}", std::strerror(errno));
    read = ends[0];
    write = ends[1];
  }
};

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_code_of(status);
}

// Starts `command` with the given descriptors as 0, 1 and (when not negative) 2. Returns -1 with
// errno set when it cannot be started.
pid_t spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            int in, int out, int err) {
  std::vector<char*> argv, envp;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  for (const auto& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
  // Of two entries with one name some programs use the first and some the last.
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view inherited = *entry;
    const std::string_view name = inherited.substr(0, inherited.find('=') + 1);
    const auto same_name = [&](const std::string& own) { return own.starts_with(name); };
    if (std::none_of(environment.begin(), environment.end(), same_name)) envp.push_back(*entry);
  }
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (in >= 0) posix_spawn_file_actions_adddup2(&actions, in, 0);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (err >= 0) posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  const std::string program = find_program(command[0]);
  const int error = program.empty() ? ENOENT
                                    : ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                                                    argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  errno = error;
  return error == 0 ? pid : -1;
}

}  // namespace

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string program = fmt::format("{}/{}", folder, name);
    if (folder.starts_with('/') && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return "";
}

ProcessResult run_process(const std::vector<std::string>& command) {
  Pipe output;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = spawn(command, {}, null, output.write, output.write);
  const int spawn_error = errno;
  ::close(null);
  ::close(output.write);
  ProcessResult result;
  if (pid < 0) {
    ::close(output.read);
    return {127, fmt::format("cannot start '{}': {}", command[0], std::strerror(spawn_error))};
  }
  char chunk[4096];
  ssize_t count;
  while ((count = ::read(output.read, chunk, sizeof chunk)) > 0 || (count < 0 && errno == EINTR))
    if (count > 0) result.output.append(chunk, static_cast<size_t>(count));
  const int read_error = errno;
  ::close(output.read);
  if (count < 0) {
    wait_for(pid);
    data_error("cannot read the output of '{}': {}", command[0], std::strerror(read_error));
  }
  result.exit_code = wait_for(pid);
  return result;
}

ChildProcess::ChildProcess(const std::vector<std::string>& command,
                           const std::vector<std::string>& environment) {
  // A child that died must show as a failed write, not end this process.
  ::signal(SIGPIPE, SIG_IGN);
  Pipe to_child, from_child;
  pid_ = spawn(command, environment, to_child.read, from_child.write, -1);
  const int spawn_error = errno;
  ::close(to_child.read);
  ::close(from_child.write);
  input_ = to_child.write;
  output_ = from_child.read;
  if (pid_ < 0) {
    ::close(input_);
    ::close(output_);
    data_error("cannot start '{}': {}", command[0], std::strerror(spawn_error));
  }
}

ChildProcess::~ChildProcess() {
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
  }
}

bool ChildProcess::write_line(const std::string& line) {
  const std::string text = line + "\n";
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t count = ::write(input_, text.data() + sent, text.size() - sent);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

std::optional<std::string> ChildProcess::read_line() {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    char chunk[65536];
    const ssize_t count = ::read(output_, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    buffer_.append(chunk, static_cast<size_t>(count));
  }
}

int ChildProcess::wait() {
  if (input_ >= 0) ::close(input_);
  input_ = -1;
  const int code = pid_ > 0 ? wait_for(pid_) : 0;
  pid_ = -1;
  return code;
}

std::string exit_text(int exit_code) {
  constexpr int kLastSignal = 64;
  if (exit_code <= 128 || exit_code > 128 + kLastSignal)
    return fmt::format("exit code {}", exit_code);
  return fmt::format("signal {} ({})", exit_code - 128, ::strsignal(exit_code - 128));
}

}  // namespace assay
