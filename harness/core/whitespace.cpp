#include "harness/core/whitespace.h"

#include <algorithm>
#include <iterator>

namespace assay {
namespace {

constexpr std::string_view kMultibyteSpaces[] = {"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001",
                                                 "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
                                                 "\u2007", "\u2008", "\u2009", "\u200a", "\u2028",
                                                 "\u2029", "\u202f", "\u205f", "\u3000"};

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

template <typename Matches>
size_t multibyte_space(Matches&& matches) {
  const auto* found =
      std::find_if(std::begin(kMultibyteSpaces), std::end(kMultibyteSpaces), matches);
  return found == std::end(kMultibyteSpaces) ? 0 : found->size();
}

}  // namespace

size_t leading_space(std::string_view text) {
  if (text.empty()) return 0;
  if (is_ascii_space(text.front())) return 1;
  return multibyte_space([&](std::string_view space) { return text.starts_with(space); });
}

size_t trailing_space(std::string_view text) {
  if (text.empty()) return 0;
  if (is_ascii_space(text.back())) return 1;
  return multibyte_space([&](std::string_view space) { return text.ends_with(space); });
}

size_t count_words(std::string_view text) {
  size_t words = 1;
  bool in_space = false;
  while (!text.empty()) {
    const size_t space = leading_space(text);
    words += space > 0 && !in_space ? 1 : 0;
    in_space = space > 0;
    text.remove_prefix(std::max<size_t>(1, space));
  }
  return words;
}

std::string_view stripped(std::string_view text) {
  while (const size_t space = leading_space(text)) text.remove_prefix(space);
  while (const size_t space = trailing_space(text)) text.remove_suffix(space);
  return text;
}

}  // namespace assay
