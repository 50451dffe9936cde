/// Divides a template into text and the tokens of its tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/jinja/jinja.h"

namespace assay::jinja {

struct Token {
  enum class Kind {
    kText,           ///< between tags
    kVariableBegin,  ///< {{
    kVariableEnd,
    kBlockBegin,  ///< {%
    kBlockEnd,
    kName,
    kString,  ///< its value, without quotation marks
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind;
  std::string text;
  int line;
};

/// UserError naming `where` and the line.
std::vector<Token> tokenize(std::string_view text, const std::string& where,
                            const JinjaOptions& options);

}  // namespace assay::jinja
