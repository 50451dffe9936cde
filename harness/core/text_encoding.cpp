#include "harness/core/text_encoding.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/ascii.h"

namespace assay {
namespace {

bool starts_with_word(std::string_view bytes, std::string_view word) {
  return bytes.size() >= word.size() &&
         std::equal(word.begin(), word.end(), bytes.begin(),
                    [](char a, char b) { return a == ascii_lower(b); });
}

struct Bounds {
  unsigned char low, high;
};

Bounds second_byte(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

}  // namespace

Utf8Part utf8_part(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t length = utf8_length(lead);
  Bounds bounds = second_byte(lead);
  for (size_t i = 1; i < length; ++i) {
    if (i >= text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < bounds.low || byte > bounds.high) return {i, false};
    bounds = {0x80, 0xBF};
  }
  return {length, true};
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string encoding_problem(std::string_view bytes) {
  const std::string_view first = bytes.substr(0, 2);
  const bool zero_in_letter = first.size() == 2 && (first[0] == 0) != (first[1] == 0);
  if (first == "\xff\xfe" || first == "\xfe\xff" || zero_in_letter)
    return "line 1: this is UTF-16 text; save it as UTF-8";
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Part part = utf8_part(bytes.substr(i));
    if (!part.whole)
      return fmt::format(
          "line {}: the byte 0x{:02x} is not UTF-8",
          1 + std::count(bytes.begin(), bytes.begin() + static_cast<int64_t>(i), '\n'),
          static_cast<unsigned char>(bytes[i]));
    i += part.size;
  }
  return "";
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

std::string wrong_format_hint(std::string_view bytes) {
  using namespace std::literals;
  if (bytes.starts_with("version https://git-lfs.github.com/"))
    return "it is a git-lfs pointer, not the file itself; "
           "fetch it with `git lfs pull` in its repository";
  if (bytes.starts_with("GGUF"))
    return "it is a GGUF file; use the safetensors that it was converted from";
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x80\x02") ||
      bytes.starts_with("\x80\x04"))
    return "it is a file of torch.save(): give it a name that ends in .bin, .pt, .pth or .ckpt";
  const size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text == std::string_view::npos) return "";
  const std::string_view page = without_byte_order_mark(bytes.substr(text));
  if (starts_with_word(page, "<!doctype html"sv) || starts_with_word(page, "<html"sv))
    return "it is an HTML page, which a site may send in place of a file; download the file itself";
  return "";
}

}  // namespace assay
