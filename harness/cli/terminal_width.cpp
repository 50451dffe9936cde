#include "harness/cli/terminal_width.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace assay::cli {

size_t terminal_width() {
  constexpr size_t kDefault = 80;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return kDefault;
  return size.ws_col > 0 ? size.ws_col : kDefault;
}

}  // namespace assay::cli
