/// How long `assay --help` takes, and how much of it is LibTorch being loaded: this program, which
/// is linked with LibTorch alone and does nothing, started in the same way. Medians of 20.
#include <ATen/Version.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

extern char** environ;

namespace {

double median_seconds(const char* program, const char* argument) {
  constexpr int kRuns = 20;
  std::vector<double> seconds;
  posix_spawn_file_actions_t to_null;
  posix_spawn_file_actions_init(&to_null);
  posix_spawn_file_actions_addopen(&to_null, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  for (int run = 0; run < kRuns; ++run) {
    char* arguments[] = {const_cast<char*>(program), const_cast<char*>(argument), nullptr};
    const auto begin = std::chrono::steady_clock::now();
    pid_t pid = 0;
    int status = 0;
    if (posix_spawn(&pid, program, &to_null, nullptr, arguments, environ) != 0 ||
        ::waitpid(pid, &status, 0) != pid || status != 0) {
      std::fprintf(stderr, "%s %s failed\n", program, argument);
      return -1;
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    seconds.push_back(taken.count());
  }
  posix_spawn_file_actions_destroy(&to_null);
  std::nth_element(seconds.begin(), seconds.begin() + kRuns / 2, seconds.end());
  return seconds[kRuns / 2];
}

}  // namespace

int main(int argc, char** argv) {
  // The call keeps the linker from leaving LibTorch out.
  if (argc > 1 && std::strcmp(argv[1], "--load") == 0) return at::get_mkl_version().empty();
  const double help = median_seconds(ASSAY_PROGRAM, "--help");
  const double torch = median_seconds("/proc/self/exe", "--load");
  if (help < 0 || torch < 0) return 1;
  std::printf("assay --help: %.3f s; loading LibTorch alone: %.3f s; the rest: %.3f s\n", help,
              torch, help - torch);
}
