/// Prompts: text in which {{field}} stands for a field of an item.
#pragma once

#include "harness/task/text_file.h"

namespace assay {

/// "Question: {{question}}\nAnswer:"; {{choices.text.0}} reaches into objects and lists. Values are
/// printed as Jinja does; {{ "text" }} is that text. What else Jinja understands is refused.
class TextTemplate {
 public:
  TextTemplate() = default;
  /// UserError naming the place of a statement, a comment, a filter, a call, an index, a "{{"
  /// without "}}" or with nothing between them.
  explicit TextTemplate(const JsonReader& text);

  /// DataError when the item lacks a field or holds a list or an object there.
  std::string fill(const TextItem& item) const;
  /// The field when the template is nothing but one; else empty.
  std::string only_field() const;

 private:
  struct Part {
    std::string text;
    bool is_field;
  };
  std::vector<Part> parts_;
};

/// Text in which nothing is filled in. UserError when it looks as if something should be.
std::string plain_text(const JsonReader& text);

}  // namespace assay
