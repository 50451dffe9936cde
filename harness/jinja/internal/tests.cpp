#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/jinja/internal/functions.h"
#include "harness/jinja/internal/text_functions.h"

namespace assay::jinja {
namespace {

using Test = bool (*)(const Value& value, const CallArguments& arguments);

bool is_order(const Value& value, const CallArguments& arguments, bool (*holds)(int)) {
  const Value& other = arguments.at(0, "other");
  const auto order = compare(value, other);
  if (!order)
    arguments.fail(fmt::format("{} and {} have no order", value.type_name(), other.type_name()));
  return holds(*order);
}

bool is_equal(const Value& value, const CallArguments& arguments) {
  return equal(value, arguments.at(0, "other"));
}

int64_t integer(const Value& value, const CallArguments& arguments) {
  if (!value.is_integer()) arguments.fail("an integer is expected");
  return value.integer();
}

using V = const Value&;
using A = const CallArguments&;

bool less(V value, A arguments) {
  return is_order(value, arguments, [](int order) { return order < 0; });
}
bool less_or_equal(V value, A arguments) {
  return is_order(value, arguments, [](int order) { return order <= 0; });
}
bool greater(V value, A arguments) {
  return is_order(value, arguments, [](int order) { return order > 0; });
}
bool greater_or_equal(V value, A arguments) {
  return is_order(value, arguments, [](int order) { return order >= 0; });
}
bool is_unequal(V value, A arguments) { return !is_equal(value, arguments); }

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> table{
      {"!=", is_unequal},
      {"<", less},
      {"<=", less_or_equal},
      {"==", is_equal},
      {">", greater},
      {">=", greater_or_equal},
      {"boolean", [](V value, A) { return value.is<bool>(); }},
      {"callable", [](V value, A) { return value.is_function(); }},
      {"defined", [](V value, A) { return !value.is_undefined(); }},
      {"divisibleby",
       [](V value, A arguments) {
         const int64_t divisor = arguments.integer(0, "num");
         if (divisor == 0) arguments.fail("a division by zero");
         return divisor == -1 || integer(value, arguments) % divisor == 0;
       }},
      {"eq", is_equal},
      {"equalto", is_equal},
      {"even", [](V value, A arguments) { return integer(value, arguments) % 2 == 0; }},
      {"false", [](V value, A) { return value.is<bool>() && !value.as<bool>(); }},
      {"float", [](V value, A) { return value.is<double>(); }},
      {"ge", greater_or_equal},
      {"greaterthan", greater},
      {"gt", greater},
      {"in", [](V value, A arguments) { return contains(arguments.at(0, "seq"), value); }},
      {"integer", [](V value, A) { return value.is<int64_t>(); }},
      {"iterable",
       [](V value, A) {
         return value.is_string() || value.is_list() || value.is_dict() || value.is_undefined();
       }},
      {"le", less_or_equal},
      {"lessthan", less},
      {"lower", [](V value, A) { return is_cased(value.str(), false); }},
      {"lt", less},
      {"mapping", [](V value, A) { return value.is_dict(); }},
      {"ne", is_unequal},
      {"none", [](V value, A) { return value.is_none(); }},
      {"number", [](V value, A) { return value.is_number(); }},
      {"odd", [](V value, A arguments) { return integer(value, arguments) % 2 != 0; }},
      {"sequence",
       [](V value, A) { return value.is_string() || value.is_list() || value.is_dict(); }},
      {"string", [](V value, A) { return value.is_string(); }},
      {"true", [](V value, A) { return value.is<bool>() && value.as<bool>(); }},
      {"undefined", [](V value, A) { return value.is_undefined(); }},
      {"upper", [](V value, A) { return is_cased(value.str(), true); }},
  };
  return table;
}

}  // namespace

bool is_test(const std::string& name) { return tests().contains(name); }

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const auto& [name, test] : tests()) names.push_back(name);
  return names;
}

bool apply_test(const std::string& name, const Value& value, const CallArguments& arguments) {
  const auto test = tests().find(name);
  if (test == tests().end())
    throw DataError(unknown_name("test", name, "the template", test_names()));
  return test->second(value, arguments);
}

}  // namespace assay::jinja
