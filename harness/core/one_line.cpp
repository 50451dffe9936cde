#include "harness/core/one_line.h"

namespace assay {

std::string one_line(std::string_view text, size_t width) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xc0) != 0x80;
    if (begins && width-- == 0) break;
    line += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  return line;
}

}  // namespace assay
