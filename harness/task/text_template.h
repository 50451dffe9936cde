/// Prompts: text in which {{field}} stands for a field of an item.
#pragma once

#include "harness/task/text_file.h"

namespace assay {

/// "Question: {{question}}\nAnswer:"; {{choices.text.0}} reaches into objects and lists. Nothing
/// else is special.
class TextTemplate {
 public:
  TextTemplate() = default;
  /// UserError when a "{{" has no "}}" or nothing between them.
  explicit TextTemplate(const JsonReader& text);

  /// DataError when the item lacks a field or holds something else than text there.
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

}  // namespace assay
