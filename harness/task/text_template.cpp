#include "harness/task/text_template.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay {
namespace {

[[noreturn]] void refuse(const JsonReader& text, size_t at, const std::string& what) {
  text.fail(fmt::format("character {}: {}", at + 1, what));
}

// Statements and comments occur outside of {{...}}.
void check_outside(const JsonReader& text, const std::string& source, size_t begin, size_t end) {
  for (const char* mark : {"{%", "{#"})
    if (const size_t at = source.find(mark, begin); at < end)
      refuse(text, at,
             fmt::format("'{0}' begins a {1} of Jinja, which is not supported "
                         "here; {{{{ \"{0}\" }}}} stands for these characters",
                         mark, mark[1] == '%' ? "statement" : "comment"));
}

// A quoted text without inner quotation marks or backslashes.
bool is_literal(const std::string& inner) {
  return inner.size() >= 2 && (inner.front() == '"' || inner.front() == '\'') &&
         inner.find_first_of("\"'\\", 1) == inner.size() - 1 && inner.back() == inner.front();
}

// Names of columns may contain spaces and most characters: only certain expressions are refused.
void check_field(const JsonReader& text, const std::string& field, size_t at) {
  if (field.front() == '-' || field.back() == '-' || field.front() == '+')
    refuse(text, at, "'{{-' and '-}}', which strip white space, are not supported here");
  for (size_t i = 0; i < field.size(); ++i) {
    const bool called = field[i] == '(' && i > 0 && field[i - 1] != ' ';
    if (called || std::string_view("|[]{}\"'`").find(field[i]) != std::string_view::npos)
      refuse(text, at,
             fmt::format("'{{{{{}}}}}' is more than a field's name: filters, "
                         "calls, indices and expressions are not supported "
                         "here; elements of lists are {{{{list.0}}}}",
                         field));
  }
}

std::string trimmed(std::string text) {
  const char* const white = " \t\r\n";
  text.erase(0, text.find_first_not_of(white));
  text.erase(text.find_last_not_of(white) + 1);
  return text;
}

}  // namespace

TextTemplate::TextTemplate(const JsonReader& text) {
  const std::string source = text.as_string();
  for (size_t begin = 0; begin < source.size();) {
    const size_t open = source.find("{{", begin);
    check_outside(text, source, begin, std::min(open, source.size()));
    if (open != begin) parts_.push_back({source.substr(begin, open - begin), false});
    if (open == std::string::npos) break;
    const size_t close = source.find("}}", open);
    if (close == std::string::npos) refuse(text, open, "a '{{' has no '}}'");
    const std::string inner = trimmed(source.substr(open + 2, close - open - 2));
    if (inner.empty()) refuse(text, open, "expected a field's name between '{{' and '}}'");
    if (is_literal(inner)) {
      parts_.push_back({inner.substr(1, inner.size() - 2), false});
    } else {
      check_field(text, inner, open);
      parts_.push_back({inner, true});
    }
    begin = close + 2;
  }
}

std::string TextTemplate::fill(const TextItem& item) const {
  std::string text;
  for (const Part& part : parts_)
    text += part.is_field ? printed_field(item, part.text) : part.text;
  return text;
}

std::string TextTemplate::only_field() const {
  return parts_.size() == 1 && parts_.front().is_field ? parts_.front().text : std::string();
}

std::string plain_text(const JsonReader& text) {
  std::string source = text.as_string();
  check_outside(text, source, 0, source.size());
  if (const size_t at = source.find("{{"); at != std::string::npos)
    refuse(text, at, "'{{' begins a field, but fields are not supported here");
  return source;
}

}  // namespace assay
