#include "harness/jinja/internal/parser.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/jinja/internal/functions.h"

namespace assay::jinja {
namespace {

using Kind = Token::Kind;
using E = Expression::Kind;
using S = Statement::Kind;
using ExpressionMaker = std::unique_ptr<Expression>;

constexpr int kMaxNesting = 200;

const std::vector<std::string> kStatements{"for", "if",         "set",   "macro",   "filter",
                                           "raw", "generation", "break", "continue"};

class Parser {
 public:
  Parser(const std::vector<Token>& tokens, const std::string& where, bool strict)
      : tokens_(tokens), where_(where), strict_(strict) {}

  Block run() {
    Block body = block({});
    if (token().kind != Kind::kEnd) fail(fmt::format("unexpected '{}'", token().text));
    return body;
  }

 private:
  // Tokens.
  const Token& token() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  [[noreturn]] void fail(const std::string& what) const {
    user_error("{}: line {}: {}", where_, token().line, what);
  }
  bool is_operator(std::string_view text) const {
    return token().kind == Kind::kOperator && token().text == text;
  }
  bool is_name(std::string_view text) const {
    return token().kind == Kind::kName && token().text == text;
  }
  bool skip_operator(std::string_view text) { return is_operator(text) && (take(), true); }
  bool skip_name(std::string_view text) { return is_name(text) && (take(), true); }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) fail(fmt::format("expected '{}', found {}", text, found()));
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) fail(fmt::format("expected '{}', found {}", text, found()));
  }
  std::string name() {
    if (token().kind != Kind::kName) fail("expected a name, found " + found());
    return take().text;
  }
  void expect_end(Kind kind) {
    if (token().kind != kind) fail("unexpected " + found());
    take();
  }
  std::string found() const {
    switch (token().kind) {
      case Kind::kEnd:
        return "the end of the template";
      case Kind::kVariableEnd:
        return "'}}'";
      case Kind::kBlockEnd:
        return "'%}'";
      default:
        return "'" + token().text + "'";
    }
  }

  struct Depth {
    explicit Depth(Parser& of) : parser(of) {
      if (++parser.depth_ > kMaxNesting) parser.fail("it is nested too deeply");
    }
    ~Depth() { --parser.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    Parser& parser;
  };

  // Statements.

  /// Up to a block whose name is among `ends`, which is not taken; to the end without any.
  Block block(const std::vector<std::string>& ends) {
    const Depth depth(*this);
    Block out;
    for (;;) {
      const int line = token().line;
      if (token().kind == Kind::kText) {
        Statement text{S::kText, line};
        text.text = take().text;
        add(out, std::move(text));
      } else if (token().kind == Kind::kVariableBegin) {
        take();
        Statement output{S::kOutput, line};
        output.expression = expression_or_tuple();
        expect_end(Kind::kVariableEnd);
        add(out, std::move(output));
      } else if (token().kind == Kind::kBlockBegin) {
        if (next().kind == Kind::kName &&
            std::find(ends.begin(), ends.end(), next().text) != ends.end())
          return out;
        take();
        add(out, statement(name(), line));
      } else {
        if (!ends.empty()) fail(fmt::format("expected '{}', found {}", ends.back(), found()));
        return out;
      }
    }
  }

  static void add(Block& block, Statement statement) {
    block.statements.push_back(std::make_unique<const Statement>(std::move(statement)));
  }

  /// Takes "{% end %}".
  void end_block(const std::string& name) {
    take();
    expect_name(name);
    expect_end(Kind::kBlockEnd);
  }

  Statement statement(const std::string& keyword, int line) {
    if (keyword == "if") return if_statement(line);
    if (keyword == "for") return for_statement(line);
    if (keyword == "set") return set_statement(line);
    if (keyword == "macro") return macro_statement(line);
    if (keyword == "filter") {
      Statement out{S::kFilterBlock, line};
      out.expression = filter_chain();
      expect_end(Kind::kBlockEnd);
      out.body = block({"endfilter"});
      end_block("endfilter");
      return out;
    }
    if (keyword == "generation") {
      expect_end(Kind::kBlockEnd);
      Statement out{S::kScope, line};
      out.body = block({"endgeneration"});
      end_block("endgeneration");
      return out;
    }
    if (keyword == "break" || keyword == "continue") {
      if (loops_ == 0) fail(fmt::format("'{}' outside of a loop", keyword));
      expect_end(Kind::kBlockEnd);
      return {keyword == "break" ? S::kBreak : S::kContinue, line};
    }
    fail(fmt::format("the statement '{}' is not supported.{}", keyword,
                     suggestion(keyword, kStatements)));
  }

  Statement if_statement(int line) {
    Statement out{S::kIf, line};
    for (;;) {
      ExpressionPtr condition = expression_or_tuple();
      expect_end(Kind::kBlockEnd);
      Block body = block({"elif", "else", "endif"});
      out.branches.emplace_back(std::move(condition), std::move(body));
      take();
      const std::string keyword = name();
      if (keyword == "elif") continue;
      expect_end(Kind::kBlockEnd);
      if (keyword == "else") {
        out.otherwise = block({"endif"});
        end_block("endif");
      }
      return out;
    }
  }

  Statement for_statement(int line) {
    Statement out{S::kFor, line};
    out.names = target();
    expect_name("in");
    out.expression = tuple_of([this] { return or_expression(); });
    if (skip_name("if")) out.condition = expression();
    if (is_name("recursive")) fail("recursive loops are not supported");
    expect_end(Kind::kBlockEnd);
    ++loops_;
    out.body = block({"else", "endfor"});
    --loops_;
    take();
    const bool has_else = name() == "else";
    expect_end(Kind::kBlockEnd);
    if (has_else) {
      out.otherwise = block({"endfor"});
      end_block("endfor");
    }
    return out;
  }

  /// "a" or "a, b" or "(a, b)".
  std::vector<std::string> target() {
    const bool bracket = skip_operator("(");
    std::vector<std::string> names{name()};
    while (skip_operator(",") && token().kind == Kind::kName) names.push_back(name());
    if (bracket) expect_operator(")");
    return names;
  }

  Statement set_statement(int line) {
    Statement out{S::kSet, line};
    out.names = target();
    if (out.names.size() == 1 && skip_operator(".")) {
      out.kind = S::kSetMember;
      out.text = name();
    }
    if (skip_operator("=")) {
      out.expression = expression_or_tuple();
      expect_end(Kind::kBlockEnd);
      return out;
    }
    if (out.kind == S::kSetMember || out.names.size() != 1) fail("expected '=', found " + found());
    out.kind = S::kSetBlock;
    if (skip_operator("|")) out.expression = filter_chain();
    expect_end(Kind::kBlockEnd);
    out.body = block({"endset"});
    end_block("endset");
    return out;
  }

  Statement macro_statement(int line) {
    Statement out{S::kMacro, line};
    out.text = name();
    expect_operator("(");
    while (!is_operator(")")) {
      Parameter parameter{name(), nullptr};
      if (skip_operator("=")) parameter.fallback = expression();
      out.parameters.push_back(std::move(parameter));
      if (!is_operator(")")) expect_operator(",");
    }
    take();
    expect_end(Kind::kBlockEnd);
    const int loops = std::exchange(loops_, 0);
    out.body = block({"endmacro"});
    loops_ = loops;
    end_block("endmacro");
    return out;
  }

  // Expressions, from loose to tight.

  ExpressionMaker make(E kind) const {
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->line = token().line;
    return out;
  }

  template <typename Element>
  ExpressionPtr tuple_of(const Element& element) {
    ExpressionPtr first = element();
    if (!is_operator(",")) return first;
    ExpressionMaker tuple = make(E::kTuple);
    tuple->children.push_back(std::move(first));
    while (skip_operator(",")) {
      if (token().kind == Kind::kVariableEnd || token().kind == Kind::kBlockEnd || is_operator(")"))
        break;
      tuple->children.push_back(element());
    }
    return tuple;
  }
  ExpressionPtr expression_or_tuple() {
    return tuple_of([this] { return expression(); });
  }

  ExpressionPtr expression() {
    const Depth depth(*this);
    ExpressionPtr value = or_expression();
    while (is_name("if")) {
      ExpressionMaker out = make(E::kCondition);
      take();
      out->children.push_back(std::move(value));
      out->children.push_back(or_expression());
      out->children.push_back(skip_name("else") ? expression() : nullptr);
      value = std::move(out);
    }
    return value;
  }

  ExpressionPtr binary(ExpressionPtr left, const std::string& text, ExpressionPtr right) const {
    ExpressionMaker out = make(E::kBinary);
    out->text = text;
    out->children.push_back(std::move(left));
    out->children.push_back(std::move(right));
    return out;
  }

  ExpressionPtr or_expression() {
    ExpressionPtr left = and_expression();
    while (skip_name("or")) left = binary(std::move(left), "or", and_expression());
    return left;
  }
  ExpressionPtr and_expression() {
    ExpressionPtr left = not_expression();
    while (skip_name("and")) left = binary(std::move(left), "and", not_expression());
    return left;
  }
  ExpressionPtr not_expression() {
    const Depth depth(*this);
    if (!is_name("not")) return comparison();
    ExpressionMaker out = make(E::kUnary);
    out->text = take().text;
    out->children.push_back(not_expression());
    return out;
  }

  ExpressionPtr comparison() {
    ExpressionPtr first = sum();
    ExpressionMaker out;
    for (;;) {
      std::string text;
      for (const char* one : {"==", "!=", "<", "<=", ">", ">="})
        if (is_operator(one)) text = one;
      if (is_name("in")) text = "in";
      if (is_name("not") && next().kind == Kind::kName && next().text == "in") {
        take();
        text = "not in";
      }
      if (text.empty()) break;
      take();
      if (!out) {
        out = make(E::kCompare);
        out->children.push_back(std::move(first));
      }
      out->operators.push_back(text);
      out->children.push_back(sum());
    }
    if (out) return out;
    return first;
  }

  template <typename Operand>
  ExpressionPtr chain(std::initializer_list<const char*> operators, const Operand& operand) {
    ExpressionPtr left = operand();
    for (;;) {
      const auto* found = std::find_if(operators.begin(), operators.end(),
                                       [&](const char* text) { return is_operator(text); });
      if (found == operators.end()) return left;
      take();
      left = binary(std::move(left), *found, operand());
    }
  }
  ExpressionPtr sum() {
    return chain({"+", "-"}, [this] { return concatenation(); });
  }
  ExpressionPtr concatenation() {
    return chain({"~"}, [this] { return product(); });
  }
  ExpressionPtr product() {
    return chain({"*", "/", "//", "%"}, [this] { return power(); });
  }
  ExpressionPtr power() {
    return chain({"**"}, [this] { return unary(true); });
  }

  ExpressionPtr unary(bool with_filters) {
    const Depth depth(*this);
    ExpressionPtr out;
    if (is_operator("-") || is_operator("+")) {
      ExpressionMaker sign = make(E::kUnary);
      sign->text = take().text;
      sign->children.push_back(unary(false));
      out = std::move(sign);
    } else {
      out = postfix(primary());
    }
    return with_filters ? filters_and_tests(std::move(out)) : std::move(out);
  }

  ExpressionPtr primary() {
    const Depth depth(*this);
    switch (token().kind) {
      case Kind::kName:
        return name_or_constant();
      case Kind::kString: {
        ExpressionMaker out = make(E::kConstant);
        std::string text;
        while (token().kind == Kind::kString) text += take().text;
        out->constant = text;
        return out;
      }
      case Kind::kInteger: {
        ExpressionMaker out = make(E::kConstant);
        out->constant = static_cast<int64_t>(std::stoll(take().text));
        return out;
      }
      case Kind::kFloat: {
        ExpressionMaker out = make(E::kConstant);
        out->constant = std::strtod(take().text.c_str(), nullptr);
        return out;
      }
      default:
        break;
    }
    if (is_operator("(")) return brackets();
    if (is_operator("[")) {
      ExpressionMaker out = make(E::kList);
      take();
      while (!is_operator("]")) {
        out->children.push_back(expression());
        if (!is_operator("]")) expect_operator(",");
      }
      take();
      return out;
    }
    if (is_operator("{")) {
      ExpressionMaker out = make(E::kDict);
      take();
      while (!is_operator("}")) {
        out->children.push_back(expression());
        expect_operator(":");
        out->children.push_back(expression());
        if (!is_operator("}")) expect_operator(",");
      }
      take();
      return out;
    }
    fail("expected an expression, found " + found());
  }

  ExpressionPtr brackets() {
    ExpressionMaker empty = make(E::kTuple);
    take();
    if (skip_operator(")")) return empty;
    ExpressionPtr inner = expression_or_tuple();
    expect_operator(")");
    return inner;
  }

  ExpressionPtr name_or_constant() {
    const std::string text = token().text;
    ExpressionMaker out = make(E::kConstant);
    take();
    if (text == "true" || text == "True") {
      out->constant = true;
    } else if (text == "false" || text == "False") {
      out->constant = false;
    } else if (text != "none" && text != "None") {
      out->kind = E::kName;
      out->text = text;
    }
    return out;
  }

  ExpressionPtr postfix(ExpressionPtr value) {
    for (;;) {
      if (is_operator(".")) {
        ExpressionMaker out = make(E::kAttribute);
        take();
        if (token().kind == Kind::kInteger) {  // list.0
          out->kind = E::kItem;
          out->children.push_back(std::move(value));
          out->children.push_back(primary());
        } else {
          out->text = name();
          out->children.push_back(std::move(value));
        }
        value = std::move(out);
      } else if (is_operator("[")) {
        value = subscript(std::move(value));
      } else if (is_operator("(")) {
        value = call(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr subscript(ExpressionPtr value) {
    ExpressionMaker out = make(E::kItem);
    take();
    out->children.push_back(std::move(value));
    const auto part = [&]() -> ExpressionPtr {
      return is_operator(":") || is_operator("]") ? nullptr : expression();
    };
    out->children.push_back(part());
    if (is_operator(":")) {
      out->kind = E::kSlice;
      for (int i = 0; i < 2; ++i) out->children.push_back(skip_operator(":") ? part() : nullptr);
    } else if (!out->children.back()) {
      fail("expected an index, found ']'");
    }
    expect_operator("]");
    return out;
  }

  ExpressionPtr call(ExpressionPtr value) {
    ExpressionMaker out = make(E::kCall);
    out->children.push_back(std::move(value));
    out->arguments = arguments();
    return out;
  }

  Arguments arguments() {
    Arguments out;
    expect_operator("(");
    while (!is_operator(")")) {
      if (is_operator("*") || is_operator("**")) fail("'*' in arguments is not supported");
      if (token().kind == Kind::kName && next().kind == Kind::kOperator && next().text == "=") {
        const std::string key = name();
        take();
        out.named.emplace_back(key, expression());
      } else {
        if (!out.named.empty()) fail("an argument without a name follows one with a name");
        out.positional.push_back(expression());
      }
      if (!is_operator(")")) expect_operator(",");
    }
    take();
    return out;
  }

  ExpressionPtr filter(ExpressionPtr value) {
    ExpressionMaker out = make(E::kFilter);
    out->text = name();
    if (strict_ && !is_filter(out->text)) {
      --at_;
      fail(unknown_name("filter", out->text, "the template", filter_names()));
    }
    out->children.push_back(std::move(value));
    if (is_operator("(")) out->arguments = arguments();
    return out;
  }

  /// "trim | upper", of a block.
  ExpressionPtr filter_chain() {
    ExpressionPtr value = filter(nullptr);
    while (skip_operator("|")) value = filter(std::move(value));
    return value;
  }

  ExpressionPtr filters_and_tests(ExpressionPtr value) {
    for (;;) {
      if (skip_operator("|")) {
        value = filter(std::move(value));
      } else if (is_name("is")) {
        take();
        value = test(std::move(value));
      } else if (is_operator("(")) {
        value = call(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr test(ExpressionPtr value) {
    const bool negated = skip_name("not");
    ExpressionMaker out = make(E::kTest);
    out->text = name();
    if (strict_ && !is_test(out->text)) {
      --at_;
      fail(unknown_name("test", out->text, "the template", test_names()));
    }
    out->children.push_back(std::move(value));
    if (is_operator("(")) {
      out->arguments = arguments();
    } else if (begins_argument()) {
      out->arguments.positional.push_back(postfix(primary()));
    }
    if (!negated) return out;
    ExpressionMaker inverse = make(E::kUnary);
    inverse->text = "not";
    inverse->children.push_back(std::move(out));
    return inverse;
  }

  bool begins_argument() const {
    if (token().kind == Kind::kName)
      return !is_name("else") && !is_name("or") && !is_name("and") && !is_name("if") &&
             !is_name("is") && !is_name("in") && !is_name("not");
    return token().kind == Kind::kString || token().kind == Kind::kInteger ||
           token().kind == Kind::kFloat || is_operator("[") || is_operator("{");
  }

  const std::vector<Token>& tokens_;
  const std::string& where_;
  const bool strict_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

std::shared_ptr<const Block> parse(const std::vector<Token>& tokens, const std::string& where,
                                   bool strict) {
  return std::make_shared<const Block>(Parser(tokens, where, strict).run());
}

}  // namespace assay::jinja
