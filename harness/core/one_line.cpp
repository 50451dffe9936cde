#include "harness/core/one_line.h"

#include "harness/core/text_encoding.h"

namespace assay {

std::string one_line(std::string_view text, size_t width) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (starts_character(c) && width-- == 0) break;
    line += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  return line;
}

}  // namespace assay
