#include "harness/core/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "harness/core/error.h"

namespace assay {

void reserve_standard_descriptors() {
  // open() returns the lowest free number, so the loop ends with the first above 2.
  for (;;) {
    const int descriptor = ::open("/dev/null", O_RDONLY);
    if (descriptor <= STDERR_FILENO && descriptor >= 0) continue;
    if (descriptor >= 0) ::close(descriptor);
    return;
  }
}

void write_standard_error(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

void check_standard_input() {
  if (std::ferror(stdin) != 0) data_error("cannot read standard input: an input/output error");
}

std::string finish_standard_output() {
  errno = 0;
  const bool failed_before = std::ferror(stdout) != 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && !failed_before) {
    // Some file systems report only at close() that the disk is full.
    const int copy = ::dup(STDOUT_FILENO);
    if (copy < 0 || ::close(copy) == 0) return "";
  }
  return errno != 0 ? std::strerror(errno) : "an earlier write failed";
}

}  // namespace assay
