#define PCRE2_CODE_UNIT_WIDTH 8
#include "harness/tokenizer/unicode/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <ctime>

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

// PCRE2's \s includes U+180E, and its \w lacks marks and circled letters.
constexpr std::string_view kSpace = R"(\t-\r \x{85}\p{Z})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\x{24B6}-\x{24E9})"
    R"(\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

constexpr size_t kStackBytes = 8 << 20;

/// Limits catastrophic backtracking in the search for all matches in one text.
class SearchLimit {
 public:
  explicit SearchLimit(size_t text_bytes) : bytes_(text_bytes) {}

  /// PCRE2's match limit: backtracking steps from one position. Real expressions backtrack over
  /// their match at most a few times.
  uint32_t steps() const {
    return static_cast<uint32_t>(std::min<size_t>(100'000 + 8 * bytes_, UINT32_MAX));
  }
  /// Start positions tried until the next check(); more after each without a match.
  static constexpr size_t kPositions = 256;
  /// DataError when the search has taken about a hundred times as long as real expressions need.
  void check() const {
    constexpr double kSeconds = 3, kSecondsPerByte = 3e-5;
    if (thread_seconds() - began_ > kSeconds + kSecondsPerByte * static_cast<double>(bytes_))
      reject();
  }
  [[noreturn]] void reject() const {
    data_error("a tokenizer's regular expression backtracks without end on a text of {} bytes",
               bytes_);
  }

 private:
  /// CPU time of this thread, so that the limit does not depend on other load.
  static double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }
  size_t bytes_;
  double began_ = thread_seconds();
};

/// A thread's match data and JIT stack.
struct Scratch {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, kStackBytes, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);

  Scratch() { pcre2_jit_stack_assign(context, nullptr, stack); }
  ~Scratch() {
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(match);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

constexpr uint32_t kCompileOptions =
    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

std::string pcre_pattern(std::string_view pattern, const std::string& where) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[++i];
      if (letter == 's' || letter == 'w') {
        const std::string_view members = letter == 's' ? kSpace : kWord;
        out += in_class ? std::string(members) : fmt::format("[{}]", members);
      } else if (letter == 'S' && in_class) {
        out += R"(\S\x{180E})";
      } else if ((letter == 'S' || letter == 'W') && !in_class) {
        out += fmt::format("[^{}]", letter == 'S' ? kSpace : kWord);
      } else if (letter == 'W') {
        user_error("{}: \\W inside a character class is not supported, found \"{}\"", where,
                   pattern);
      } else if (letter == 'h' || letter == 'H') {  // a hexadecimal digit in Oniguruma
        out += in_class && letter == 'h' ? "0-9A-Fa-f"
               : letter == 'h'           ? "[0-9A-Fa-f]"
                                         : "[^0-9A-Fa-f]";
      } else {
        out += {c, letter};
      }
      continue;
    }
    if (!in_class && c == '[') {
      in_class = true;
      out += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out += fmt::format("\\{}", pattern[++i]);
      continue;
    }
    if (in_class && c == '[' && (i + 1 >= pattern.size() || pattern[i + 1] != ':'))
      user_error("{}: a character class inside another is not supported, found \"{}\"", where,
                 pattern);
    if (in_class && pattern.substr(i, 2) == "&&")
      user_error("{}: intersections of character classes are not supported, found \"{}\"", where,
                 pattern);
    if (in_class && pattern.substr(i, 2) == "[:") {
      const size_t end = pattern.find(":]", i);
      if (end != std::string_view::npos) {
        out += pattern.substr(i, end + 2 - i);
        i = end + 1;
        continue;
      }
    }
    if (in_class && c == ']') in_class = false;
    out += c;
  }
  return out;
}

Regex::Regex(std::string_view pattern, const std::string& where) {
  const std::string translated = pcre_pattern(pattern, where);
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    kCompileOptions, &error, &offset, context.get());
  if (!code)
    user_error("{}: not a regular expression: {} at byte {} of \"{}\"", where, message(error),
               offset, translated);
  code_ = std::shared_ptr<const void>(code, [code](const void*) { pcre2_code_free(code); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT it is only slower
}

void Regex::each(std::string_view text, const std::function<void(size_t, size_t)>& found) const {
  thread_local const Scratch scratch;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const SearchLimit limit(text.size());
  pcre2_set_match_limit(scratch.context, limit.steps());
  size_t start = 0, last_end = SIZE_MAX, calls = 0, places = SearchLimit::kPositions;
  while (start <= text.size()) {
    if (++calls % SearchLimit::kPositions == 0) limit.check();
    const size_t last_place = std::min(text.size(), start + places);
    pcre2_set_offset_limit(scratch.context, last_place);
    const int matched = pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK,
                                    scratch.match, scratch.context);
    if (matched == PCRE2_ERROR_NOMATCH) {
      if (last_place == text.size()) return;
      limit.check();
      places *= 2;
      start = last_place;
      while ((static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
      continue;
    }
    if (matched == PCRE2_ERROR_MATCHLIMIT || matched == PCRE2_ERROR_HEAPLIMIT) limit.reject();
    if (matched < 0)
      data_error("a tokenizer's regular expression failed on a text of {} bytes: {}", text.size(),
                 message(matched));
    places = SearchLimit::kPositions;
    const PCRE2_SIZE* place = pcre2_get_ovector_pointer(scratch.match);
    const size_t begin = place[0], end = place[1];
    // An empty match directly after the last one is not a match.
    if (begin < end || begin != last_end) found(begin, end);
    last_end = end;
    start = end;
    if (begin == end)
      start += start < text.size() ? utf8_length(static_cast<unsigned char>(text[start])) : 1;
  }
}

}  // namespace assay
