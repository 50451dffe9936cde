#include "harness/task/text_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"

namespace assay {
namespace {

[[noreturn]] void refuse(const JsonReader& text, size_t at, const std::string& what) {
  text.fail(fmt::format("character {}: {}", at + 1, what));
}

// A quoted text without inner quotation marks or backslashes.
bool is_literal(const std::string& inner) {
  return inner.size() >= 2 && (inner.front() == '"' || inner.front() == '\'') &&
         inner.find_first_of("\"'\\", 1) == inner.size() - 1 && inner.back() == inner.front();
}

// Names of columns may contain spaces and most characters; what Jinja alone understands may not.
bool is_field(const std::string& inner) {
  if (inner.front() == '-' || inner.back() == '-' || inner.front() == '+') return false;
  for (size_t i = 0; i < inner.size(); ++i) {
    const bool called = inner[i] == '(' && i > 0 && inner[i - 1] != ' ';
    if (called || std::string_view("|[]{}\"'`+*/~%<>=").find(inner[i]) != std::string_view::npos)
      return false;
  }
  for (const char* word : {" if ", " or ", " and ", " in ", " is "})
    if (inner.find(word) != std::string::npos) return false;
  return !inner.starts_with("not ");
}

std::string trimmed(std::string text) {
  const char* const white = " \t\r\n";
  text.erase(0, text.find_first_not_of(white));
  text.erase(text.find_last_not_of(white) + 1);
  return text;
}

/// An error of a template also names the item.
template <typename Run>
auto located(const TextItem& item, const Run& run) {
  try {
    return run();
  } catch (const DataError& error) {
    data_error("{}: {}", item.where, error.what());
  }
}

/// Calls tag(inner, position) for every {{...}} and text(part) between them. False when there is
/// other syntax, or when one of them returns false.
template <typename Tag, typename Text>
bool each_part(const JsonReader& where, const std::string& source, const Tag& tag,
               const Text& text) {
  for (size_t begin = 0; begin < source.size();) {
    const size_t open = std::min(source.find("{{", begin), source.size());
    for (const char* mark : {"{%", "{#"})
      if (source.find(mark, begin) < open) return false;
    if (open != begin) text(source.substr(begin, open - begin));
    if (open == source.size()) break;
    const size_t close = source.find("}}", open);
    if (close == std::string::npos) refuse(where, open, "a '{{' has no '}}'");
    const std::string inner = trimmed(source.substr(open + 2, close - open - 2));
    if (inner.empty()) refuse(where, open, "expected a field's name between '{{' and '}}'");
    if (!tag(inner)) return false;
    begin = close + 2;
  }
  return true;
}

}  // namespace

TextTemplate::TextTemplate(const JsonReader& text) {
  const std::string source = text.as_string();
  const bool plain = each_part(
      text, source,
      [this](const std::string& inner) {
        if (is_literal(inner))
          parts_.push_back({inner.substr(1, inner.size() - 2), false});
        else if (is_field(inner))
          parts_.push_back({inner, true});
        else
          return false;
        return true;
      },
      [this](std::string part) {
        parts_.push_back({std::move(part), false});
      });
  if (plain) return;
  parts_.clear();
  jinja_ = std::make_shared<const JinjaTemplate>(source, text.where(), JinjaOptions::of_tasks());
}

std::string TextTemplate::fill(const TextItem& item) const {
  if (jinja_) return located(item, [&] { return jinja_->render(item.fields); });
  std::string text;
  for (const Part& part : parts_)
    text += part.is_field ? printed_field(item, part.text) : part.text;
  return text;
}

bool TextTemplate::has_value() const {
  return jinja_ ? jinja_->is_expression() : parts_.size() == 1 && parts_.front().is_field;
}

Json TextTemplate::value(const TextItem& item) const {
  if (jinja_) return located(item, [&] { return jinja_->value(item.fields); });
  return has_value() ? text_field(item, parts_.front().text) : Json(fill(item));
}

std::vector<std::string> TextTemplate::texts(const TextItem& item) const {
  if (has_value())
    if (const Json list = value(item); list.is_array()) return printed_elements(list, item.where);
  return {fill(item)};
}

std::vector<std::string> printed_elements(const Json& list, const std::string& where) {
  const TextItem item{Json{{"value", list}}, where};
  std::vector<std::string> texts;
  for (size_t i = 0; i < list.size(); ++i)
    texts.push_back(printed_field(item, fmt::format("value.{}", i)));
  return texts;
}

std::string plain_text(const JsonReader& text) {
  std::string source = text.as_string();
  for (const char* mark : {"{{", "{%", "{#"})
    if (const size_t at = source.find(mark); at != std::string::npos)
      refuse(text, at, fmt::format("'{}' begins a template, which is not supported here", mark));
  return source;
}

}  // namespace assay
