#include "harness/jinja/internal/lexer.h"

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"
#include "harness/core/whitespace.h"

namespace assay::jinja {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// The end of the white space that begins at `at`.
size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t space = leading_space(text.substr(at));
    if (space == 0) break;
    at += space;
  }
  return at;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where, const JinjaOptions& options)
      : where_(where), options_(options) {
    for (size_t i = 0; i < source.size(); ++i) {  // all kinds of line ends are one
      if (source[i] != '\r') {
        text_ += source[i];
      } else {
        text_ += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      }
    }
    if (!options.keep_trailing_newline && text_.ends_with('\n')) text_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const size_t open = find_tag(at_);
      if (open == std::string::npos) {
        add_text(text_.substr(at_));
        break;
      }
      tag(open);
    }
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    user_error("{}: line {}: {}", where_, line_, what);
  }
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void add_text(const std::string& text) {
    if (!text.empty()) add(Kind::kText, text);
    count_lines(text);
  }
  void count_lines(std::string_view text) {
    line_ += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  bool starts(size_t at, std::string_view mark) const {
    return std::string_view(text_).substr(at).starts_with(mark);
  }

  size_t find_tag(size_t from) const {
    for (size_t at = text_.find('{', from); at != std::string::npos; at = text_.find('{', at + 1))
      if (starts(at, "{{") || starts(at, "{%") || starts(at, "{#")) return at;
    return std::string::npos;
  }

  /// The text before a tag, without what the tag strips.
  std::string before(size_t open, char sign, bool is_variable) const {
    std::string text = text_.substr(at_, open - at_);
    if (sign == '-') {
      while (const size_t space = trailing_space(text)) text.resize(text.size() - space);
      return text;
    }
    if (sign == '+' || is_variable || !options_.lstrip_blocks) return text;
    const size_t line = text.rfind('\n') + 1;  // 0 without one
    const bool begins_line = line > 0 || at_ == 0 || text_[at_ - 1] == '\n';
    if (begins_line && skip_space(text, line) == text.size()) text.resize(line);
    return text;
  }

  /// Passes the end of a tag at `close`, which has `size` characters, and what it strips.
  void pass_end(size_t close, size_t size, bool strips, bool keeps_line, bool is_variable) {
    at_ = close + size;
    const size_t begin = at_;
    if (strips)
      at_ = skip_space(text_, at_);
    else if (options_.trim_blocks && !is_variable && !keeps_line && starts(at_, "\n"))
      ++at_;
    count_lines(std::string_view(text_).substr(begin, at_ - begin));
  }

  void tag(size_t open) {
    const char kind = text_[open + 1];
    const char sign = open + 2 < text_.size() ? text_[open + 2] : '\0';
    const bool is_variable = kind == '{', signed_tag = sign == '-' || sign == '+';
    const std::string text = before(open, sign, is_variable);
    const std::string stripped = text_.substr(at_ + text.size(), open - at_ - text.size());
    add_text(text);
    count_lines(stripped);
    at_ = open + 2 + (signed_tag ? 1 : 0);
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    add(is_variable ? Kind::kVariableBegin : Kind::kBlockBegin, "");
    inside(is_variable);
  }

  void comment() {
    const size_t close = text_.find("#}", at_);
    if (close == std::string::npos) fail("a comment '{#' has no '#}'");
    count_lines(std::string_view(text_).substr(at_, close - at_));
    const char sign = close > at_ ? text_[close - 1] : '\0';
    pass_end(close, 2, sign == '-', sign == '+', false);
  }

  /// "raw" to "endraw" is text.
  bool raw() {
    size_t at = skip_space(text_, at_);
    if (!starts(at, "raw")) return false;
    at = skip_space(text_, at + 3);
    const char sign = at < text_.size() ? text_[at] : '\0';
    if (sign == '-' || sign == '+') ++at;
    if (!starts(at, "%}")) return false;
    pass_end(at, 2, sign == '-', true, false);
    for (size_t open = text_.find("{%", at_); open != std::string::npos;
         open = text_.find("{%", open + 1)) {
      size_t end = open + 2;
      const char first = end < text_.size() ? text_[end] : '\0';
      if (first == '-' || first == '+') ++end;
      end = skip_space(text_, end);
      if (!starts(end, "endraw")) continue;
      end = skip_space(text_, end + 6);
      const char last = end < text_.size() ? text_[end] : '\0';
      if (last == '-' || last == '+') ++end;
      if (!starts(end, "%}")) continue;
      add_text(before(open, first, false));
      pass_end(end, 2, last == '-', last == '+', false);
      return true;
    }
    fail("'raw' has no 'endraw'");
  }

  /// The tokens of a tag up to its end.
  void inside(bool is_variable) {
    const std::string_view close = is_variable ? "}}" : "%}";
    const char* name = is_variable ? "{{" : "{%";
    const int first_line = line_;
    std::string brackets;  // that are open: "}}" may end a dictionary
    for (;;) {
      const size_t token = skip_space(text_, at_);
      count_lines(std::string_view(text_).substr(at_, token - at_));
      at_ = token;
      if (at_ >= text_.size()) {
        line_ = first_line;
        fail(fmt::format("a '{}' has no '{}'", name, close));
      }
      const bool minus = text_[at_] == '-', plus = text_[at_] == '+' && !is_variable;
      const size_t end = at_ + (minus || plus ? 1 : 0);
      if (brackets.empty() && starts(end, close)) {
        add(is_variable ? Kind::kVariableEnd : Kind::kBlockEnd, "");
        pass_end(end, 2, minus, plus, is_variable);
        return;
      }
      token_at(brackets);
    }
  }

  void token_at(std::string& brackets) {
    const char c = text_[at_];
    if (is_name_start(c)) {
      size_t end = at_;
      while (end < text_.size() && (is_name_start(text_[end]) || is_digit(text_[end]))) ++end;
      add(Kind::kName, text_.substr(at_, end - at_));
      at_ = end;
    } else if (is_digit(c)) {
      number();
    } else if (c == '"' || c == '\'') {
      string(c);
    } else {
      operator_at(brackets);
    }
  }

  void number() {
    std::string digits;
    bool is_float = false;
    size_t end = at_;
    const auto take_digits = [&] {
      while (end < text_.size() && (is_digit(text_[end]) || text_[end] == '_')) {
        if (text_[end] != '_') digits += text_[end];
        ++end;
      }
    };
    take_digits();
    if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      is_float = true;
      digits += text_[end++];
      take_digits();
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '-' || text_[exponent] == '+')) ++exponent;
      if (exponent < text_.size() && is_digit(text_[exponent])) {
        is_float = true;
        digits += text_.substr(end, exponent - end);
        end = exponent;
        take_digits();
      }
    }
    if (!is_float && digits.size() > 18) fail("the number " + digits + " is too large");
    add(is_float ? Kind::kFloat : Kind::kInteger, digits);
    at_ = end;
  }

  void string(char quote) {
    std::string value;
    const size_t begin = at_;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] != '\\' || at_ + 1 >= text_.size()) {
        value += text_[at_];
        continue;
      }
      escape(value);
    }
    if (at_ >= text_.size()) fail("a string has no end");
    add(Kind::kString, value);
    ++at_;
    count_lines(std::string_view(text_).substr(begin, at_ - begin));
  }

  void escape(std::string& value) {
    constexpr std::pair<char, char> kEscapes[] = {
        {'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''},
        {'"', '"'},  {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'v', '\v'}};
    const char c = text_[++at_];
    for (const auto& [name, character] : kEscapes)
      if (c == name) {
        value += character;
        return;
      }
    if (c == '\n') return;
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      value += '\\';
      value += c;
      return;
    }
    const std::string code = text_.substr(at_ + 1, digits);
    if (code.size() != digits ||
        code.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      fail(fmt::format("'\\{}' needs {} hexadecimal digits", c, digits));
    const auto character = static_cast<char32_t>(std::stoul(code, nullptr, 16));
    if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000))
      fail(fmt::format("'\\{}{}' is no character", c, code));
    append_character(value, character);
    at_ += digits;
  }

  static void append_character(std::string& value, char32_t c) {
    const auto byte = [&](char32_t bits) { value += static_cast<char>(bits); };
    if (c < 0x80) return byte(c);
    if (c < 0x800) {
      byte(0xC0 | c >> 6);
    } else if (c < 0x10000) {
      byte(0xE0 | c >> 12);
      byte(0x80 | (c >> 6 & 0x3F));
    } else {
      byte(0xF0 | c >> 18);
      byte(0x80 | (c >> 12 & 0x3F));
      byte(0x80 | (c >> 6 & 0x3F));
    }
    byte(0x80 | (c & 0x3F));
  }

  void operator_at(std::string& brackets) {
    for (const std::string_view two : {"**", "//", "==", "!=", "<=", ">="})
      if (starts(at_, two)) {
        add(Kind::kOperator, std::string(two));
        at_ += two.size();
        return;
      }
    const char c = text_[at_];
    if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == std::string_view::npos)
      fail(fmt::format("unexpected character '{}'", c));
    constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (kOpen.find(c) != std::string_view::npos) brackets += c;
    if (const size_t kind = kClose.find(c); kind != std::string_view::npos) {
      if (brackets.empty() || brackets.back() != kOpen[kind])
        fail(fmt::format("unexpected '{}'", c));
      brackets.pop_back();
    }
    add(Kind::kOperator, std::string(1, c));
    ++at_;
  }

  std::string text_;
  const std::string& where_;
  const JinjaOptions& options_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text, const std::string& where,
                            const JinjaOptions& options) {
  if (const std::string problem = encoding_problem(text); !problem.empty())
    user_error("{}: {}", where, problem);
  return Lexer(text, where, options).run();
}

}  // namespace assay::jinja
