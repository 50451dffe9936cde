#define PCRE2_CODE_UNIT_WIDTH 8
#include "harness/jinja/internal/regex_replace.h"

#include <pcre2.h>

#include <memory>

#include "harness/core/error.h"

namespace assay::jinja {
namespace {

constexpr uint32_t kMatchSteps = 1'000'000, kMatchHeapKib = 16 << 10;
constexpr size_t kMaxBytes = size_t{16} << 20;

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* pointer) const { kFree(pointer); }
};
template <typename T, void (*kFree)(T*)>
using Owned = std::unique_ptr<T, Free<T, kFree>>;

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// "\1" and "\g<1>" as "${1}".
std::string substitution(const std::string& replacement) {
  std::string out;
  for (size_t i = 0; i < replacement.size(); ++i) {
    const char c = replacement[i];
    const char next = i + 1 < replacement.size() ? replacement[i + 1] : '\0';
    if (c == '$') {
      out += "$$";
    } else if (c != '\\') {
      out += c;
    } else if (next >= '0' && next <= '9') {
      out += fmt::format("${{{}}}", next);
      ++i;
    } else if (next == 'n' || next == 't' || next == '\\') {
      out += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
      ++i;
    } else {
      data_error("'\\{}' in a replacement is not supported", next);
    }
  }
  return out;
}

}  // namespace

std::string regex_replaced(const std::string& text, const std::string& pattern,
                           const std::string& replacement, int64_t count) {
  if (count != 0 && count != 1) data_error("regex_replace replaces all matches or the first");
  int error = 0;
  PCRE2_SIZE offset = 0;
  const Owned<pcre2_code, pcre2_code_free> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (!code)
    data_error("'{}' is not a regular expression: {} at byte {}", pattern, message(error), offset);
  const Owned<pcre2_match_context, pcre2_match_context_free> limits(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(limits.get(), kMatchSteps);
  pcre2_set_heap_limit(limits.get(), kMatchHeapKib);
  const std::string with = substitution(replacement);
  std::string out(text.size() + 1024, '\0');
  for (;;) {
    PCRE2_SIZE size = out.size();
    const int result =
        pcre2_substitute(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                         (count == 0 ? PCRE2_SUBSTITUTE_GLOBAL : 0) |
                             PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_SUBSTITUTE_UNSET_EMPTY,
                         nullptr, limits.get(), reinterpret_cast<PCRE2_SPTR>(with.data()),
                         with.size(), reinterpret_cast<PCRE2_UCHAR*>(out.data()), &size);
    if (result == PCRE2_ERROR_NOMEMORY && size <= kMaxBytes) {
      out.resize(size);
      continue;
    }
    if (result < 0) data_error("regex_replace('{}'): {}", pattern, message(result));
    out.resize(size);
    return out;
  }
}

}  // namespace assay::jinja
