#include "harness/tokenizer/utf8.h"

#include <utf8proc.h>

#include <algorithm>

namespace assay {
namespace {

bool in_category(char32_t c, utf8proc_category_t first, utf8proc_category_t last) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= first && category <= last;
}

}  // namespace

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Part part = utf8_part(bytes.substr(i));
    if (part.whole)
      out.append(bytes, i, part.size);
    else
      out += "\uFFFD";
    i += part.size;
  }
  return out;
}

char32_t next_char(std::string_view text, size_t& position) {
  const auto byte = [&] { return static_cast<unsigned char>(text[position++]); };
  const unsigned char lead = byte();
  if (lead < 0x80) return lead;
  char32_t c = lead & (0x7F >> utf8_length(lead));
  for (size_t left = utf8_length(lead) - 1; left > 0; --left) c = c << 6 | (byte() & 0x3F);
  return c;
}

void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) {
    text += static_cast<char>(0x80 | (static_cast<uint32_t>(c) >> shift & 0x3F));
  };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t previous_char(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && !starts_character(text[end]));
  return end;
}

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || in_category(c, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  return in_category(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return in_category(c, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool is_mark(char32_t c) {
  return c >= 0x300 && in_category(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool is_nonspacing(char32_t c) {
  return c >= 0x300 && in_category(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MN);
}

bool is_other(char32_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  return in_category(c, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

bool is_word(char32_t c) {
  if (c < 0x80)
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  // Circled letters are symbols, but alphabetic; the joiners are part of words.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
      (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C ||
      c == 0x200D)
    return true;
  return in_category(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
         in_category(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PC);
}

bool is_cjk(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

}  // namespace assay
