#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/jinja/internal/functions.h"
#include "harness/jinja/internal/lexer.h"
#include "harness/jinja/internal/parser.h"
#include "harness/jinja/internal/syntax.h"

namespace assay {
namespace jinja {
namespace {

using E = Expression::Kind;
using S = Statement::Kind;

// A template of a stranger's model may loop for long or grow without end.
constexpr int64_t kMaxSteps = 20'000'000;
constexpr size_t kMaxText = size_t{64} << 20;
constexpr int kMaxCalls = 200;

class Evaluator {
 public:
  Evaluator(const JinjaOptions& options, Dict variables) : options_(options) {
    scopes_.push_back(global_functions());
    scopes_.push_back(std::move(variables));
  }

  int line() const { return line_; }
  std::string text(const Block& body) {
    run(body);
    return std::move(out_);
  }
  /// Of a template that is one expression.
  Json only_value(const Block& body) {
    return defined(evaluate(*body.statements.front()->expression)).json();
  }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  void spend(size_t steps) {
    steps_ += static_cast<int64_t>(steps);
    if (steps_ > kMaxSteps) data_error("it takes more than {} steps", kMaxSteps);
  }
  void write(const std::string& text) {
    spend(1 + text.size() / 64);
    if (out_.size() + text.size() > kMaxText) data_error("it makes more than {} bytes", kMaxText);
    out_ += text;
  }
  [[noreturn]] static void undefined(const Value& value) {
    data_error("{} is undefined", value.as<Undefined>().name);
  }
  /// What an undefined value may not be used for in a strict template.
  const Value& defined(const Value& value) const {
    if (value.is_undefined() && options_.strict && !value.as<Undefined>().lenient) undefined(value);
    return value;
  }
  bool truth(const Value& value) const { return defined(value).truth(); }

  // Statements.

  Flow run(const Block& block) {
    for (const auto& statement : block.statements)
      if (const Flow flow = run(*statement); flow != Flow::kNext) return flow;
    return Flow::kNext;
  }

  std::string captured(const Block& block) {
    std::string before = std::move(out_);
    out_.clear();
    run(block);
    std::swap(before, out_);
    return before;
  }

  Flow run(const Statement& statement) {
    line_ = statement.line;
    spend(1);
    switch (statement.kind) {
      case S::kText:
        write(statement.text);
        return Flow::kNext;
      case S::kOutput:
        write(defined(evaluate(*statement.expression)).str());
        return Flow::kNext;
      case S::kIf:
        for (const auto& [condition, body] : statement.branches)
          if (truth(evaluate(*condition))) return run(body);
        return run(statement.otherwise);
      case S::kFor:
        loop(statement);
        return Flow::kNext;
      case S::kSet:
        assign(statement.names, evaluate(*statement.expression));
        return Flow::kNext;
      case S::kSetMember: {
        const Value target = look_up(statement.names.front());
        if (!target.is_dict())
          data_error("'{}' is no namespace, so that '{}' of it cannot be set",
                     statement.names.front(), statement.text);
        target.dict().set(statement.text, evaluate(*statement.expression));
        return Flow::kNext;
      }
      case S::kSetBlock: {
        scopes_.emplace_back();
        Value value = captured(statement.body);
        scopes_.pop_back();
        if (statement.expression) value = filtered(*statement.expression, std::move(value));
        assign(statement.names, value);
        return Flow::kNext;
      }
      case S::kMacro:
        scopes_.back().set(statement.text, macro(statement));
        return Flow::kNext;
      case S::kFilterBlock: {
        scopes_.emplace_back();
        const std::string text = captured(statement.body);
        scopes_.pop_back();
        write(filtered(*statement.expression, text).str());
        return Flow::kNext;
      }
      case S::kScope:
        return run(statement.body);
      case S::kBreak:
        return Flow::kBreak;
      case S::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  void assign(const std::vector<std::string>& names, const Value& value) {
    if (names.size() == 1) return scopes_.back().set(names.front(), value);
    const Values items = items_of(defined(value));
    if (items.size() != names.size())
      data_error("{} values for {} names", items.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) scopes_.back().set(names[i], items[i]);
  }

  void loop(const Statement& statement) {
    const Value container = evaluate(*statement.expression);
    Values items =
        container.is_undefined() && !options_.strict ? Values() : items_of(defined(container));
    spend(items.size());
    if (statement.condition) {
      Values kept;
      for (const Value& item : items) {
        scopes_.emplace_back();
        assign(statement.names, item);
        if (truth(evaluate(*statement.condition))) kept.push_back(item);
        scopes_.pop_back();
      }
      items = std::move(kept);
    }
    Value last;  // of loop.changed()
    bool has_last = false;
    for (size_t i = 0; i < items.size(); ++i) {
      scopes_.emplace_back();
      assign(statement.names, items[i]);
      scopes_.back().set("loop", loop_variable(items, i, last, has_last));
      const Flow flow = run(statement.body);
      scopes_.pop_back();
      if (flow == Flow::kBreak) break;
    }
    if (items.empty()) run(statement.otherwise);
  }

  static Value loop_variable(const Values& items, size_t i, Value& last, bool& has_last) {
    const auto index = static_cast<int64_t>(i), count = static_cast<int64_t>(items.size());
    const auto neighbour = [&](int64_t at, const char* name) {
      return at >= 0 && at < count ? items[static_cast<size_t>(at)] : Value(Undefined{name});
    };
    Dict loop;
    loop.entries = {{"index0", index},
                    {"index", index + 1},
                    {"revindex0", count - index - 1},
                    {"revindex", count - index},
                    {"first", index == 0},
                    {"last", index + 1 == count},
                    {"length", count},
                    {"previtem", neighbour(index - 1, "loop.previtem")},
                    {"nextitem", neighbour(index + 1, "loop.nextitem")}};
    loop.set("cycle", Value::function([i](const Values& arguments, const Named&) {
               if (arguments.empty()) data_error("loop.cycle() needs values");
               return arguments[i % arguments.size()];
             }));
    loop.set("changed", Value::function([&last, &has_last](const Values& arguments, const Named&) {
               Value now = Value::list(arguments);
               const bool changed = !has_last || !equal(now, last);
               last = std::move(now);
               has_last = true;
               return Value(changed);
             }));
    return Value::dict(std::move(loop));
  }

  /// A macro sees the template's own variables, not those where it is called.
  Value macro(const Statement& statement) {
    return Value::function([this, &statement](const Values& arguments, const Named& named) {
      if (++calls_ > kMaxCalls) data_error("macros call each other more than {} deep", kMaxCalls);
      std::vector<Dict> outer(std::make_move_iterator(scopes_.begin() + kTemplateScopes),
                              std::make_move_iterator(scopes_.end()));
      scopes_.resize(kTemplateScopes);
      scopes_.emplace_back();
      bind(statement, arguments, named);
      std::string text = captured(statement.body);
      scopes_.resize(kTemplateScopes);
      scopes_.insert(scopes_.end(), std::make_move_iterator(outer.begin()),
                     std::make_move_iterator(outer.end()));
      --calls_;
      return Value(std::move(text));
    });
  }

  void bind(const Statement& statement, const Values& arguments, const Named& named) {
    if (arguments.size() > statement.parameters.size())
      data_error("{}() takes {} arguments, found {}", statement.text, statement.parameters.size(),
                 arguments.size());
    for (const auto& [name, value] : named)
      if (std::none_of(statement.parameters.begin(), statement.parameters.end(),
                       [&, &key = name](const Parameter& known) { return known.name == key; }))
        data_error("{}() has no argument '{}'", statement.text, name);
    for (size_t i = 0; i < statement.parameters.size(); ++i) {
      const Parameter& parameter = statement.parameters[i];
      Value value = Undefined{"'" + parameter.name + "'"};
      const auto given = std::find_if(named.begin(), named.end(), [&](const auto& argument) {
        return argument.first == parameter.name;
      });
      if (i < arguments.size())
        value = arguments[i];
      else if (given != named.end())
        value = given->second;
      else if (parameter.fallback)
        value = evaluate(*parameter.fallback);
      scopes_.back().set(parameter.name, std::move(value));
    }
  }

  // Expressions.

  Value look_up(const std::string& name) {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
      if (const Value* found = scope->find(name)) return *found;
    return Undefined{"'" + name + "'"};
  }

  Value evaluate(const Expression& expression) {
    line_ = expression.line;
    spend(1);
    const auto child = [&](size_t i) { return evaluate(*expression.children[i]); };
    switch (expression.kind) {
      case E::kConstant:
        return expression.constant;
      case E::kName:
        return look_up(expression.text);
      case E::kList:
      case E::kTuple: {
        Values items;
        for (size_t i = 0; i < expression.children.size(); ++i) items.push_back(child(i));
        return Value::list(std::move(items), expression.kind == E::kTuple);
      }
      case E::kDict: {
        Dict dict;
        for (size_t i = 0; i < expression.children.size(); i += 2) {
          const Value key = child(i);
          dict.set(defined(key).str(), child(i + 1));
        }
        return Value::dict(std::move(dict));
      }
      case E::kAttribute: {
        const Value value = child(0);
        if (value.is_undefined()) undefined(value);
        Value method = method_of(value, expression.text);
        if (!method.is_undefined()) return method;
        return member(value, expression.text);
      }
      case E::kItem: {
        const Value value = child(0), key = child(1);
        if (value.is_undefined()) undefined(value);
        Value item = item_of(value, defined(key));
        if (item.is_undefined() && key.is_string()) return method_of_or(value, key.text(), item);
        return item;
      }
      case E::kSlice:
        return slice(expression);
      case E::kCall:
        return call(expression);
      case E::kFilter:
        return filtered(expression, child(0));
      case E::kTest:
        return test(expression);
      case E::kUnary:
        return unary(expression.text, child(0));
      case E::kBinary:
        return binary(expression);
      case E::kCompare:
        return comparison(expression);
      case E::kCondition:
        if (truth(child(1))) return child(0);
        return expression.children[2] ? child(2)
                                      : Value(Undefined{"the value of 'if' without 'else'", true});
    }
    return {};
  }

  static Value member(const Value& value, const std::string& name) {
    Value item = value.is_dict() ? item_of(value, name) : Value(Undefined{});
    if (!item.is_undefined()) return item;
    return Undefined{fmt::format("'{}' of a {}", name, value.type_name())};
  }
  static Value method_of_or(const Value& value, const std::string& name, const Value& otherwise) {
    Value method = method_of(value, name);
    return method.is_undefined() ? otherwise : method;
  }

  Value slice(const Expression& expression) {
    const Value value = evaluate(*expression.children[0]);
    if (value.is_undefined()) undefined(value);
    std::optional<int64_t> bounds[3];
    for (size_t i = 0; i < 3; ++i) {
      if (!expression.children[i + 1]) continue;
      const Value bound = evaluate(*expression.children[i + 1]);
      if (bound.is_none()) continue;
      if (!bound.is_integer()) data_error("a slice has a bound of type {}", bound.type_name());
      bounds[i] = bound.integer();
    }
    if (!value.is_list() && !value.is_string())
      data_error("a value of type {} has no slices", value.type_name());
    const Values items = items_of(value);
    const auto size = static_cast<int64_t>(items.size());
    const int64_t step = bounds[2].value_or(1);
    if (step == 0) data_error("the step of a slice is 0");
    const int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
    const auto clamped = [&](std::optional<int64_t> bound, int64_t otherwise) {
      if (!bound) return otherwise;
      return std::clamp(*bound < 0 ? *bound + size : *bound, lowest, highest);
    };
    const int64_t first = clamped(bounds[0], step > 0 ? 0 : size - 1);
    const int64_t end = clamped(bounds[1], step > 0 ? size : -1);
    Values out;
    // The step is bounded so that adding it cannot overflow.
    const int64_t stride = std::clamp<int64_t>(step, -size - 1, size + 1);
    for (int64_t i = first; step > 0 ? i < end : i > end; i += stride)
      out.push_back(items[static_cast<size_t>(i)]);
    spend(out.size());
    if (value.is_list()) return Value::list(std::move(out), value.list().tuple);
    std::string text;
    for (const Value& item : out) text += item.text();
    return text;
  }

  struct Given {
    Values values;
    Named named;
  };
  Given arguments_of(const Expression& expression) {
    Given given;
    for (const auto& argument : expression.arguments.positional)
      given.values.push_back(evaluate(*argument));
    for (const auto& [name, argument] : expression.arguments.named)
      given.named.emplace_back(name, evaluate(*argument));
    return given;
  }

  Value call(const Expression& expression) {
    const Value function = evaluate(*expression.children[0]);
    if (function.is_undefined()) undefined(function);
    if (!function.is_function())
      data_error("a value of type {} cannot be called", function.type_name());
    const Given given = arguments_of(expression);
    const int line = line_;
    Value result = (*function.as<std::shared_ptr<Function>>())(given.values, given.named);
    line_ = line;
    if (result.is_string()) spend(result.text().size() / 64);
    return result;
  }

  /// The filter, after those in it; the innermost gets `value` where it has none of its own.
  Value filtered(const Expression& expression, Value value) {
    if (expression.children.front() && expression.children.front()->kind == E::kFilter &&
        is_chain_of_block(expression))
      value = filtered(*expression.children.front(), std::move(value));
    const Given given = arguments_of(expression);
    if (expression.text != "default" && expression.text != "d") defined(value);
    if (value.is_string()) spend(value.text().size() / 64);
    return apply_filter(expression.text, value,
                        {"the filter '" + expression.text + "'", given.values, given.named},
                        options_);
  }
  static bool is_chain_of_block(const Expression& expression) {
    const Expression* inner = &expression;
    while (inner->kind == E::kFilter && inner->children.front())
      inner = inner->children.front().get();
    return inner->kind == E::kFilter;
  }

  bool test(const Expression& expression) {
    const Value value = evaluate(*expression.children[0]);
    const Given given = arguments_of(expression);
    if (expression.text != "defined" && expression.text != "undefined") defined(value);
    return apply_test(expression.text, value,
                      {"the test '" + expression.text + "'", given.values, given.named});
  }

  Value unary(const std::string& sign, const Value& value) {
    if (sign == "not") return !truth(value);
    if (value.is_undefined()) undefined(value);
    if (!value.is_number()) data_error("a sign before a value of type {}", value.type_name());
    if (sign == "+") return value.is<bool>() ? Value(value.integer()) : value;
    if (value.is<double>()) return -value.number();
    return static_cast<int64_t>(-static_cast<uint64_t>(value.integer()));
  }

  Value binary(const Expression& expression) {
    const std::string& sign = expression.text;
    const Value left = evaluate(*expression.children[0]);
    if (sign == "and") return truth(left) ? evaluate(*expression.children[1]) : left;
    if (sign == "or") return truth(left) ? left : evaluate(*expression.children[1]);
    const Value right = evaluate(*expression.children[1]);
    line_ = expression.line;
    if (sign == "~") return joined(defined(left).str(), defined(right).str());
    for (const Value* value : {&left, &right})
      if (value->is_undefined()) undefined(*value);
    if (left.is_number() && right.is_number()) return arithmetic(sign, left, right);
    if (sign == "+" && left.is_string() && right.is_string())
      return joined(left.text(), right.text());
    if (sign == "+" && left.is_list() && right.is_list()) {
      Values items = left.list().items;
      items.insert(items.end(), right.list().items.begin(), right.list().items.end());
      spend(items.size());
      return Value::list(std::move(items), left.list().tuple);
    }
    if (sign == "*" && left.is_string() && right.is_integer()) {
      const auto times = static_cast<size_t>(std::max<int64_t>(0, right.integer()));
      if (!left.text().empty() && times > kMaxText / left.text().size())
        data_error("it makes more than {} bytes", kMaxText);
      std::string out;
      for (size_t i = 0; i < times; ++i) out += left.text();
      return joined(out, "");
    }
    data_error("'{}' between values of types {} and {}", sign, left.type_name(), right.type_name());
  }

  Value joined(const std::string& left, const std::string& right) {
    spend((left.size() + right.size()) / 64);
    if (left.size() + right.size() > kMaxText) data_error("it makes more than {} bytes", kMaxText);
    return left + right;
  }

  static Value arithmetic(const std::string& sign, const Value& left, const Value& right) {
    const bool integers = left.is_integer() && right.is_integer();
    const double a = left.number(), b = right.number();
    if ((sign == "/" || sign == "//" || sign == "%") && b == 0) data_error("a division by zero");
    if (sign == "/") return a / b;
    if (integers) {
      const int64_t i = left.integer(), j = right.integer();
      int64_t result = 0;
      bool overflow = false;
      if (sign == "+") overflow = __builtin_add_overflow(i, j, &result);
      if (sign == "-") overflow = __builtin_sub_overflow(i, j, &result);
      if (sign == "*") overflow = __builtin_mul_overflow(i, j, &result);
      if (sign == "//" || sign == "%") {
        if (j == -1) {  // the only quotient that may overflow
          overflow = __builtin_sub_overflow(int64_t{0}, i, &result);
          return sign == "%" ? Value(int64_t{0}) : checked(result, overflow);
        }
        const int64_t rest = i % j, adjusted = rest != 0 && (rest < 0) != (j < 0) ? rest + j : rest;
        return sign == "%" ? adjusted : i / j - (rest != adjusted ? 1 : 0);
      }
      if (sign == "**") {
        if (j < 0) return std::pow(a, b);
        if (j > 64 && (i > 1 || i < -1)) data_error("a number is too large");
        result = 1;
        for (int64_t n = 0; n < (i == 0 || i == 1 || i == -1 ? j % 2 + (j > 0 ? 2 : 0) : j); ++n)
          overflow |= __builtin_mul_overflow(result, i, &result);
      }
      return checked(result, overflow);
    }
    if (sign == "+") return a + b;
    if (sign == "-") return a - b;
    if (sign == "*") return a * b;
    if (sign == "//") return std::floor(a / b);
    if (sign == "%") return a - b * std::floor(a / b);
    return std::pow(a, b);
  }
  static Value checked(int64_t value, bool overflow) {
    if (overflow) data_error("a number is too large");
    return value;
  }

  Value comparison(const Expression& expression) {
    Value left = evaluate(*expression.children[0]);
    for (size_t i = 0; i < expression.operators.size(); ++i) {
      Value right = evaluate(*expression.children[i + 1]);
      if (!compares(expression.operators[i], defined(left), defined(right))) return false;
      left = std::move(right);
    }
    return true;
  }

  bool compares(const std::string& sign, const Value& left, const Value& right) {
    if (sign == "==") return equal(left, right);
    if (sign == "!=") return !equal(left, right);
    if (sign == "in" || sign == "not in") {
      if (right.is_list()) spend(right.list().items.size());
      return contains(right, left) == (sign == "in");
    }
    const auto order = compare(left, right);
    if (!order)
      data_error("'{}' between values of types {} and {}", sign, left.type_name(),
                 right.type_name());
    if (sign == "<") return *order < 0;
    if (sign == "<=") return *order <= 0;
    if (sign == ">") return *order > 0;
    return *order >= 0;
  }

  static constexpr int kTemplateScopes = 2;  // functions, and the template's variables

  const JinjaOptions& options_;
  std::vector<Dict> scopes_;
  std::string out_;
  int64_t steps_ = 0;
  int calls_ = 0, line_ = 0;
};

Dict variables_of(const Value& context) { return context.dict(); }

template <typename Result, typename Run>
Result located(const std::string& where, const JinjaOptions& options, const Value& context,
               const Run& run) {
  Evaluator evaluator(options, variables_of(context));
  try {
    return run(evaluator);
  } catch (const DataError& error) {
    data_error("{}: line {}: {}", where, evaluator.line(), error.what());
  }
}

}  // namespace
}  // namespace jinja

JinjaTemplate::JinjaTemplate(std::string_view text, std::string where, JinjaOptions options)
    : where_(std::move(where)),
      options_(options),
      body_(jinja::parse(jinja::tokenize(text, where_, options), where_, options.strict)) {}

std::string JinjaTemplate::render(const OrderedJson& context) const {
  return jinja::located<std::string>(
      where_, options_, jinja::Value::from_json(context),
      [&](jinja::Evaluator& evaluator) { return evaluator.text(*body_); });
}

std::string JinjaTemplate::render(const Json& context) const {
  return jinja::located<std::string>(
      where_, options_, jinja::Value::from_json(context),
      [&](jinja::Evaluator& evaluator) { return evaluator.text(*body_); });
}

bool JinjaTemplate::is_expression() const {
  return body_->statements.size() == 1 &&
         body_->statements.front()->kind == jinja::Statement::Kind::kOutput;
}

Json JinjaTemplate::value(const Json& context) const {
  return jinja::located<Json>(where_, options_, jinja::Value::from_json(context),
                              [&](jinja::Evaluator& evaluator) -> Json {
                                if (is_expression()) return evaluator.only_value(*body_);
                                return evaluator.text(*body_);
                              });
}

}  // namespace assay
