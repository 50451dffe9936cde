/// Prompt templates: {{field}} is replaced by a field of an item.
#pragma once

#include "harness/task/text_file.h"

namespace assay {

/// "Question: {{question}}\nAnswer:"; {{choices.text.0}} reaches into objects and lists. Values are
/// printed as Jinja does; {{ "text" }} is that text. All other Jinja syntax is refused.
class TextTemplate {
 public:
  TextTemplate() = default;
  /// UserError naming the position of a statement, a comment, a filter, a call, an index, a "{{"
  /// without "}}" or an empty "{{}}".
  explicit TextTemplate(const JsonReader& text);

  /// DataError when a field is missing, or is a list or an object.
  std::string fill(const TextItem& item) const;
  /// The field when the template consists of one field only; else empty.
  std::string only_field() const;

 private:
  struct Part {
    std::string text;
    bool is_field;
  };
  std::vector<Part> parts_;
};

/// Text without fields. UserError when it contains template syntax.
std::string plain_text(const JsonReader& text);

}  // namespace assay
