#include "harness/cli/terminal_width.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "reports/text_table.h"

namespace assay::cli {

size_t terminal_width() {
  constexpr size_t kDefault = 80;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return kDefault;
  return size.ws_col > 0 ? size.ws_col : kDefault;
}

void print_folded(const std::string& line) {
  fmt::print("{}", folded(line, terminal_width(), line.find_first_not_of(' ')));
}

std::string spaced(const Json& value) {
  std::string text;
  bool at_line_start = false;  // of the indented form
  for (const char c : value.dump(1)) {
    if (c == '\n') {
      if (text.back() != '[' && text.back() != '{') text += ' ';
      at_line_start = true;
      continue;
    }
    if (at_line_start && c == ' ') continue;
    if (at_line_start && (c == ']' || c == '}') && text.back() == ' ') text.pop_back();
    at_line_start = false;
    text += c;
  }
  return text;
}

}  // namespace assay::cli
