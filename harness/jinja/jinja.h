/// Templates in Jinja's language (jinja.palletsprojects.com), as the chat templates of models and
/// the tasks of lm-evaluation-harness use it: for, if, set, macro, filter blocks, loop controls,
/// expressions, filters, tests and the methods of Python's strings, lists and dictionaries. Output
/// is that of Python's Jinja2 3.1. Files are never read: include, import and extends are refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// JSON whose objects keep the order of their keys, as Python's dictionaries do.
using OrderedJson = nlohmann::ordered_json;

struct JinjaOptions {
  /// A line break after a block is dropped; white space before a block that begins a line too.
  bool trim_blocks = false, lstrip_blocks = false;
  bool keep_trailing_newline = true;
  /// An undefined value may not be printed, compared or iterated over.
  bool strict = true;
  /// `tojson` escapes what HTML needs and sorts keys, as Jinja does; else it is Python's
  /// json.dumps.
  bool html_json = true;

  /// As lm-evaluation-harness renders prompts.
  static JinjaOptions of_tasks() { return {}; }
  /// As transformers renders chat templates.
  static JinjaOptions of_chats() { return {true, true, false, false, false}; }
};

namespace jinja {
struct Block;
}

class JinjaTemplate {
 public:
  /// UserError naming `where`, the line and what is wrong.
  JinjaTemplate(std::string_view text, std::string where, JinjaOptions options = {});

  /// With the fields of `context` (an object) as variables. DataError naming the line when a value
  /// is undefined or of the wrong type, when the template calls raise_exception(), and when it
  /// takes too many steps or makes too much text.
  std::string render(const OrderedJson& context) const;
  std::string render(const Json& context) const;

  /// Whether the whole template is one expression, "{{ choices }}".
  bool is_expression() const;
  /// What that expression evaluates to; the text of any other template.
  Json value(const Json& context) const;

 private:
  std::string where_;
  JinjaOptions options_;
  std::shared_ptr<const jinja::Block> body_;
};

}  // namespace assay
