/// Prompt templates: {{field}} is replaced by a field of an item; all of Jinja may be used.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/jinja/jinja.h"
#include "harness/task/text_file.h"

namespace assay {

/// "Question: {{question}}\nAnswer:"; {{choices.text.0}} reaches into objects and lists, {{Q (EN)}}
/// is a field whose name has spaces. Values are printed as Jinja does; {{ "text" }} is that text. A
/// template with anything else in it is a JinjaTemplate.
class TextTemplate {
 public:
  TextTemplate() = default;
  /// UserError naming the position of a "{{" without "}}" or an empty "{{}}", or JinjaTemplate's.
  explicit TextTemplate(const JsonReader& text);

  /// DataError when a field is missing, or is a list or an object, and those of
  /// JinjaTemplate::render().
  std::string fill(const TextItem& item) const;
  /// Whether it is one field or one expression, so that it has a value that need not be text.
  bool has_value() const;
  /// That value. DataError as fill().
  Json value(const TextItem& item) const;
  /// The elements of a value that is a list, as printed; of any other template its text alone.
  /// DataError as fill().
  std::vector<std::string> texts(const TextItem& item) const;

 private:
  struct Part {
    std::string text;
    bool is_field;
  };
  std::vector<Part> parts_;
  std::shared_ptr<const JinjaTemplate> jinja_;  ///< null: parts_ are the template
};

/// A list's elements as printed_field() prints them; `where` is the item's. DataError on a list or
/// object in the list.
std::vector<std::string> printed_elements(const Json& list, const std::string& where);

/// Text without fields. UserError when it contains template syntax.
std::string plain_text(const JsonReader& text);

}  // namespace assay
