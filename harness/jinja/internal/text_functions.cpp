#include "harness/jinja/internal/text_functions.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "harness/core/text_encoding.h"
#include "harness/core/whitespace.h"

namespace assay::jinja {
namespace {

/// Calls change(character) for each, which returns the one to write.
template <typename Change>
std::string changed(std::string_view text, const Change& change) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    int32_t c = 0;
    const auto size = utf8proc_iterate(reinterpret_cast<const uint8_t*>(text.data() + i),
                                       static_cast<utf8proc_ssize_t>(text.size() - i), &c);
    if (size <= 0) {  // no character
      out += text[i++];
      continue;
    }
    uint8_t bytes[4];
    const auto written = utf8proc_encode_char(change(c), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(written));
    i += static_cast<size_t>(size);
  }
  return out;
}

bool is_letter(int32_t c) {
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

/// The byte length of the character of `characters` (white space without) at the text's start.
size_t strippable(std::string_view text, const std::string* characters, bool at_start) {
  if (!characters) return at_start ? leading_space(text) : trailing_space(text);
  if (text.empty()) return 0;
  size_t begin = 0, size = utf8_part(text).size;
  if (!at_start) {
    begin = text.size() - 1;
    while (begin > 0 && !starts_character(text[begin])) --begin;
    size = text.size() - begin;
  }
  return characters->find(text.substr(begin, size)) == std::string::npos ? 0 : size;
}

}  // namespace

std::string upper(std::string_view text) {
  return changed(replaced(text, "\u00DF", "SS", -1), utf8proc_toupper);  // the sharp s
}
std::string lower(std::string_view text) { return changed(text, utf8proc_tolower); }

std::string capitalized(std::string_view text) {
  bool first = true;
  return changed(text, [&](int32_t c) {
    return std::exchange(first, false) ? utf8proc_totitle(c) : utf8proc_tolower(c);
  });
}

std::string title_of_letters(std::string_view text) {
  bool inside = false;
  return changed(text, [&](int32_t c) {
    return std::exchange(inside, is_letter(c)) ? utf8proc_tolower(c) : utf8proc_totitle(c);
  });
}

std::string title_of_words(std::string_view text) {
  constexpr std::string_view kBefore = "-({[<";
  bool inside = false;
  return changed(text, [&](int32_t c) {
    const bool begins = !std::exchange(inside, true);
    const bool is_space = utf8proc_category(c) == UTF8PROC_CATEGORY_ZS || (c >= 9 && c <= 13);
    if (is_space || (c < 0x80 && kBefore.find(static_cast<char>(c)) != std::string_view::npos))
      inside = false;
    return begins ? utf8proc_toupper(c) : utf8proc_tolower(c);
  });
}

bool is_cased(std::string_view text, bool upper_case) {
  bool some = false, other = false;
  changed(text, [&](int32_t c) {
    const auto category = utf8proc_category(c);
    (category == (upper_case ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL) ? some : other) |=
        is_letter(c);
    return c;
  });
  return some && !other;
}

std::string stripped_of(std::string_view text, const std::string* characters, bool left,
                        bool right) {
  while (left) {
    const size_t size = strippable(text, characters, true);
    if (size == 0) break;
    text.remove_prefix(size);
  }
  while (right) {
    const size_t size = strippable(text, characters, false);
    if (size == 0) break;
    text.remove_suffix(size);
  }
  return std::string(text);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     int64_t count) {
  std::string out;
  if (from.empty()) {  // before every character and at the end
    for (size_t i = 0; i <= text.size() && count != 0; --count) {
      out += to;
      const size_t size = i < text.size() ? utf8_part(text.substr(i)).size : 1;
      if (i < text.size()) out += text.substr(i, size);
      i += size;
      if (count == 1 && i <= text.size()) return out + std::string(text.substr(i));
    }
    return count == 0 && out.empty() ? std::string(text) : out;
  }
  size_t begin = 0;
  for (size_t at; count != 0 && (at = text.find(from, begin)) != std::string_view::npos; --count) {
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  return out += text.substr(begin);
}

std::vector<std::string> split(std::string_view text, const std::string* separator, int64_t most) {
  std::vector<std::string> out;
  if (separator) {
    for (size_t at; most != 0 && (at = text.find(*separator)) != std::string_view::npos; --most) {
      out.emplace_back(text.substr(0, at));
      text.remove_prefix(at + separator->size());
    }
    out.emplace_back(text);
    return out;
  }
  for (;;) {
    while (const size_t space = leading_space(text)) text.remove_prefix(space);
    if (text.empty()) return out;
    if (most-- == 0) {
      out.push_back(stripped_of(text, nullptr, false, true));
      return out;
    }
    size_t end = 0;
    while (end < text.size() && leading_space(text.substr(end)) == 0) ++end;
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::vector<std::string> split_from_right(std::string_view text, const std::string& separator,
                                          int64_t most) {
  std::vector<std::string> out;
  for (size_t at; most != 0 && (at = text.rfind(separator)) != std::string_view::npos; --most) {
    out.emplace(out.begin(), text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  out.emplace(out.begin(), text);
  return out;
}

std::vector<std::string> lines_of(std::string_view text, bool keep_ends) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const size_t next = std::min(end + (text.substr(end).starts_with("\r\n") ? 2 : 1), text.size());
    out.emplace_back(text.substr(0, keep_ends ? next : end));
    text.remove_prefix(next);
  }
  return out;
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> out;
  for (size_t i = 0; i < text.size(); i += out.back().size())
    out.emplace_back(text.substr(i, utf8_part(text.substr(i)).size));
  return out;
}

std::optional<double> number_of(std::string_view text) {
  const std::string plain(stripped(text));
  if (plain.empty() || plain.find_first_of("xX") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(plain.c_str(), &end);
  if (end != plain.c_str() + plain.size()) return std::nullopt;
  return value;
}

}  // namespace assay::jinja
