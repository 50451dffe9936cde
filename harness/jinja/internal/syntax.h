/// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/jinja/internal/value.h"

namespace assay::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Expression {
  enum class Kind {
    kConstant,
    kName,       ///< text
    kList,       ///< children
    kTuple,      ///< children
    kDict,       ///< children: key, value, key, value ...
    kAttribute,  ///< children[0] . text
    kItem,       ///< children[0] [ children[1] ]
    kSlice,      ///< children[0] [ children[1] : children[2] : children[3] ], each may be null
    kCall,       ///< children[0] ( arguments )
    kFilter,     ///< children[0] | text ( arguments )
    kTest,       ///< children[0] is text ( arguments )
    kUnary,      ///< text: - + not
    kBinary,     ///< text: + - * / // % ** ~ and or
    kCompare,    ///< children[0] operators[0] children[1] operators[1] children[2] ...
    kCondition,  ///< children: value, condition, other value (may be null)
  };
  Kind kind;
  int line;
  std::string text{};
  Value constant{};
  std::vector<ExpressionPtr> children{};
  std::vector<std::string> operators{};
  Arguments arguments{};
};

struct Statement;
struct Block {
  std::vector<std::unique_ptr<const Statement>> statements;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  ///< null: none
};

struct Statement {
  enum class Kind {
    kText,         ///< text
    kOutput,       ///< expression
    kIf,           ///< branches, then `otherwise`
    kFor,          ///< names in expression [if condition]: body, else `otherwise`
    kSet,          ///< names = expression
    kSetMember,    ///< names[0].text = expression
    kSetBlock,     ///< names[0] = body, through the filters of expression (may be null)
    kMacro,        ///< text(parameters): body
    kFilterBlock,  ///< body through the filters of expression
    kScope,        ///< body, as `generation` and `with` have it
    kBreak,
    kContinue,
  };
  Kind kind;
  int line;
  std::string text{};
  std::vector<std::string> names{};
  ExpressionPtr expression{}, condition{};
  std::vector<std::pair<ExpressionPtr, Block>> branches{};
  Block body{}, otherwise{};
  std::vector<Parameter> parameters{};
};

}  // namespace assay::jinja
