#include "harness/jinja/python_text.h"

#include <utf8proc.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

// str.isprintable() of one character.
bool is_printable(int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

}  // namespace

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // Python writes numbers of up to 16 digits before the point without an exponent.
  const bool plain = std::fabs(value) >= 1e15 && std::fabs(value) < 1e16;
  return plain ? fmt::format("{:.1f}", value) : Json(value).dump();
}

std::string python_repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const Utf8Part part = utf8_part(text.substr(i));
    int32_t c = static_cast<unsigned char>(text[i]);
    if (part.whole)
      utf8proc_iterate(reinterpret_cast<const uint8_t*>(text.data() + i),
                       static_cast<utf8proc_ssize_t>(part.size), &c);
    if (c == quote || c == '\\')
      out += std::string("\\") + static_cast<char>(c);
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (part.whole && is_printable(c))
      out += text.substr(i, part.size);
    else
      out += c < 0x100     ? fmt::format("\\x{:02x}", c)
             : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                           : fmt::format("\\U{:08x}", c);
    i += part.size;
  }
  return out + quote;
}

}  // namespace assay
