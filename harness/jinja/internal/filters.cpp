#include <algorithm>
#include <cmath>
#include <map>

#include "harness/core/error.h"
#include "harness/core/html.h"
#include "harness/core/text_encoding.h"
#include "harness/core/whitespace.h"
#include "harness/jinja/internal/functions.h"
#include "harness/jinja/internal/regex_replace.h"
#include "harness/jinja/internal/text_functions.h"

namespace assay::jinja {
namespace {

struct Call {
  const Value& value;
  const CallArguments& arguments;
  const JinjaOptions& options;
};
using Filter = Value (*)(const Call&);

/// An attribute by its path, "a.b" or "0"; undefined when there is none.
Value attribute_of(Value value, const std::string& path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    const bool is_index = !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
    value =
        item_of(value, is_index && value.is_list() ? Value(static_cast<int64_t>(std::stoll(part)))
                                                   : Value(part));
    if (value.is_undefined()) return value;
    begin = end + 1;
  }
  return value;
}

/// The attribute that the argument names; the item itself without one.
Value key_of(const Value& item, const Value* attribute, bool fold_case) {
  Value key = !attribute || attribute->is_none() ? item : attribute_of(item, attribute->str());
  return fold_case && key.is_string() ? Value(lower(key.text())) : key;
}

int order_of(const Value& a, const Value& b, const CallArguments& arguments) {
  const auto order = compare(a, b);
  if (!order) arguments.fail(fmt::format("{} and {} have no order", a.type_name(), b.type_name()));
  return *order;
}

Value sort(const Call& call) {
  const bool reverse = call.arguments.flag(0, "reverse", false);
  const bool fold = !call.arguments.flag(1, "case_sensitive", false);
  const Value* attribute = call.arguments.find(2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(call.value))
    keyed.emplace_back(key_of(item, attribute, fold), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    const int order = order_of(a.first, b.first, call.arguments);
    return reverse ? order > 0 : order < 0;
  });
  Values out;
  for (auto& [key, item] : keyed) out.push_back(item);
  return Value::list(std::move(out));
}

Value dictionary_sorted(const Call& call) {
  const bool fold = !call.arguments.flag(0, "case_sensitive", false);
  const bool by_value = call.arguments.text(1, "by", "key") == "value";
  const bool reverse = call.arguments.flag(2, "reverse", false);
  if (!call.value.is_dict()) call.arguments.fail("a dictionary is expected");
  auto entries = call.value.dict().entries;
  std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
    const int order =
        order_of(key_of(by_value ? a.second : Value(a.first), nullptr, fold),
                 key_of(by_value ? b.second : Value(b.first), nullptr, fold), call.arguments);
    return reverse ? order > 0 : order < 0;
  });
  Values out;
  for (auto& [key, value] : entries) out.push_back(Value::list({key, value}, true));
  return Value::list(std::move(out));
}

Value unique(const Call& call) {
  const bool fold = !call.arguments.flag(0, "case_sensitive", false);
  const Value* attribute = call.arguments.find(1, "attribute");
  Values seen, out;
  for (const Value& item : items_of(call.value)) {
    const Value key = key_of(item, attribute, fold);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& one) { return equal(one, key); }))
      continue;
    seen.push_back(key);
    out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value extreme(const Call& call, int sign) {
  const bool fold = !call.arguments.flag(0, "case_sensitive", false);
  const Value* attribute = call.arguments.find(1, "attribute");
  Value best = Undefined{"the extreme of no items"};
  for (const Value& item : items_of(call.value))
    if (best.is_undefined() || sign * order_of(key_of(item, attribute, fold),
                                               key_of(best, attribute, fold), call.arguments) >
                                   0)
      best = item;
  return best;
}

/// select, reject, selectattr and rejectattr.
Value select(const Call& call, bool by_attribute, bool wanted) {
  const size_t test_at = by_attribute ? 1 : 0;
  const std::string attribute = by_attribute ? call.arguments.text(0, "attribute") : "";
  const bool has_test = call.arguments.count() > test_at;
  const std::string test = has_test ? call.arguments.text(test_at, "test") : "";
  const Values& all = call.arguments.values();
  const Values rest(all.begin() + static_cast<std::ptrdiff_t>(std::min(test_at + 1, all.size())),
                    all.end());
  const CallArguments of_test("the test '" + test + "'", rest, call.arguments.named());
  Values out;
  for (const Value& item : items_of(call.value)) {
    const Value tested = by_attribute ? attribute_of(item, attribute) : item;
    if ((has_test ? apply_test(test, tested, of_test) : tested.truth()) == wanted)
      out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value map(const Call& call) {
  Values out;
  if (const Value* attribute = call.arguments.find(SIZE_MAX, "attribute")) {
    const Value* fallback = call.arguments.find(SIZE_MAX, "default");
    for (const Value& item : items_of(call.value)) {
      Value member = attribute_of(item, attribute->str());
      out.push_back(member.is_undefined() && fallback ? *fallback : member);
    }
    return Value::list(std::move(out));
  }
  const std::string filter = call.arguments.text(0, "filter");
  const Values rest(call.arguments.values().begin() + 1, call.arguments.values().end());
  const CallArguments of_filter("the filter '" + filter + "'", rest, call.arguments.named());
  for (const Value& item : items_of(call.value))
    out.push_back(apply_filter(filter, item, of_filter, call.options));
  return Value::list(std::move(out));
}

Value join(const Call& call) {
  const std::string separator = call.arguments.text(0, "d", "");
  const Value* attribute = call.arguments.find(1, "attribute");
  std::string out;
  bool first = true;
  for (const Value& item : items_of(call.value)) {
    if (!first) out += separator;
    first = false;
    out += key_of(item, attribute, false).str();
  }
  return out;
}

Value sum(const Call& call) {
  const Value* attribute = call.arguments.find(0, "attribute");
  double total = 0;
  int64_t integers = 0;
  bool whole = true;
  for (const Value& item : items_of(call.value)) {
    const Value key = key_of(item, attribute, false);
    if (!key.is_number()) call.arguments.fail(fmt::format("a {} is no number", key.type_name()));
    total += key.number();
    whole = whole && key.is_integer();
    if (whole && __builtin_add_overflow(integers, key.integer(), &integers))
      call.arguments.fail("the sum is too large");
  }
  return whole ? Value(integers) : Value(total);
}

Value to_int(const Call& call) {
  const Value* given = call.arguments.find(0, "default");
  Value fallback = given ? *given : Value(int64_t{0});
  if (call.value.is_integer()) return call.value.integer();
  if (call.value.is<double>()) {
    const double value = std::trunc(call.value.number());
    return std::abs(value) < 9e18 ? Value(static_cast<int64_t>(value)) : fallback;
  }
  if (!call.value.is_string()) return fallback;
  const auto number = number_of(call.value.text());
  if (!number || !(std::abs(*number) < 9e15)) return fallback;
  return static_cast<int64_t>(std::trunc(*number));
}

Value to_float(const Call& call) {
  const Value* given = call.arguments.find(0, "default");
  const Value fallback = given ? *given : Value(0.0);
  if (call.value.is_number()) return call.value.number();
  const auto number =
      call.value.is_string() ? number_of(call.value.text()) : std::optional<double>();
  return number ? Value(*number) : fallback;
}

Value round(const Call& call) {
  if (!call.value.is_number()) call.arguments.fail("a number is expected");
  const int64_t digits = call.arguments.integer(0, "precision", 0);
  const std::string method = call.arguments.text(1, "method", "common");
  if (digits < 0 || digits > 15) call.arguments.fail("precision is 0 to 15");
  const double value = call.value.number(), scale = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") return std::ceil(value * scale) / scale;
  if (method == "floor") return std::floor(value * scale) / scale;
  if (method != "common") call.arguments.fail("the method is common, ceil or floor");
  // Python's round() rounds the exact decimal value, halves to even, as printing does.
  return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
}

Value indent(const Call& call) {
  const Value* width = call.arguments.find(0, "width");
  const std::string space = width && width->is_string()
                                ? width->text()
                                : std::string(static_cast<size_t>(std::clamp<int64_t>(
                                                  call.arguments.integer(0, "width", 4), 0, 1000)),
                                              ' ');
  const bool first = call.arguments.flag(1, "first", false);
  const bool blank = call.arguments.flag(2, "blank", false);
  const std::string text = call.value.str();
  std::string out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (begin > 0) out += '\n';
    if ((begin > 0 || first) && (blank || !line.empty())) out += space;
    out += line;
    begin = end + 1;
  }
  return out;
}

Value replace_text(const Call& call) {
  return replaced(call.value.str(), call.arguments.at(0, "old").str(),
                  call.arguments.at(1, "new").str(), call.arguments.integer(2, "count", -1));
}

Value escape(const Call& call) { return escape_html(call.value.str()); }

Value json_filter(const Call& call) {
  const Value* indentation = call.arguments.find(SIZE_MAX, "indent");
  if (!indentation) indentation = call.arguments.find(0, "indent");
  const bool one_line = !indentation || indentation->is_none();
  if (!one_line && !indentation->is_integer()) call.arguments.fail("'indent' is a number");
  const int64_t width = one_line ? -1 : std::clamp<int64_t>(indentation->integer(), 0, 100);
  const bool html = call.options.html_json;
  return to_json(call.value, width, html, call.arguments.flag(SIZE_MAX, "sort_keys", html));
}

Value absolute(const Call& call) {
  if (call.value.is<double>()) return std::abs(call.value.number());
  if (!call.value.is_integer()) call.arguments.fail("a number is expected");
  const int64_t value = call.value.integer();
  if (value == INT64_MIN) call.arguments.fail("the number is too large");
  return value < 0 ? -value : value;
}

Value default_value(const Call& call) {
  const bool missing = call.value.is_undefined() ||
                       (call.arguments.flag(1, "boolean", false) && !call.value.truth());
  if (!missing) return call.value;
  const Value* fallback = call.arguments.find(0, "default_value");
  return fallback ? *fallback : Value("");
}

Value edge(const Call& call, bool last) {
  const Values items = items_of(call.value);
  if (items.empty()) return Undefined{"an item of an empty list"};
  return last ? items.back() : items.front();
}

Value reversed(const Call& call) {
  Values items = items_of(call.value);
  std::reverse(items.begin(), items.end());
  if (!call.value.is_string()) return Value::list(std::move(items));
  std::string text;
  for (const Value& item : items) text += item.text();
  return text;
}

Value items(const Call& call) {
  if (call.value.is_undefined()) return Value::list({});
  if (!call.value.is_dict()) call.arguments.fail("a dictionary is expected");
  Values out;
  for (const auto& [key, value] : call.value.dict().entries)
    out.push_back(Value::list({key, value}, true));
  return Value::list(std::move(out));
}

Value regex_filter(const Call& call) {
  return regex_replaced(call.value.str(), call.arguments.text(0, "pattern"),
                        call.arguments.text(1, "repl"), call.arguments.integer(2, "count", 0));
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> table{
      {"abs", absolute},
      {"attr",
       [](const Call& call) { return attribute_of(call.value, call.arguments.text(0, "name")); }},
      {"capitalize", [](const Call& call) -> Value { return capitalized(call.value.str()); }},
      {"count", [](const Call& call) -> Value { return length_of(call.value); }},
      {"d", default_value},
      {"default", default_value},
      {"dictsort", dictionary_sorted},
      {"e", escape},
      {"escape", escape},
      {"first", [](const Call& call) { return edge(call, false); }},
      {"float", to_float},
      {"indent", indent},
      {"int", to_int},
      {"items", items},
      {"join", join},
      {"last", [](const Call& call) { return edge(call, true); }},
      {"length", [](const Call& call) -> Value { return length_of(call.value); }},
      {"list", [](const Call& call) { return Value::list(items_of(call.value)); }},
      {"lower", [](const Call& call) -> Value { return lower(call.value.str()); }},
      {"map", map},
      {"max", [](const Call& call) { return extreme(call, 1); }},
      {"min", [](const Call& call) { return extreme(call, -1); }},
      {"regex_replace", regex_filter},
      {"reject", [](const Call& call) { return select(call, false, false); }},
      {"rejectattr", [](const Call& call) { return select(call, true, false); }},
      {"replace", replace_text},
      {"reverse", reversed},
      {"round", round},
      {"safe", [](const Call& call) { return call.value; }},
      {"select", [](const Call& call) { return select(call, false, true); }},
      {"selectattr", [](const Call& call) { return select(call, true, true); }},
      {"sort", sort},
      {"string", [](const Call& call) -> Value { return call.value.str(); }},
      {"sum", sum},
      {"title", [](const Call& call) -> Value { return title_of_words(call.value.str()); }},
      {"tojson", json_filter},
      {"trim",
       [](const Call& call) -> Value {
         const Value* characters = call.arguments.find(0, "chars");
         return stripped_of(call.value.str(),
                            characters && characters->is_string() ? &characters->text() : nullptr,
                            true, true);
       }},
      {"unique", unique},
      {"upper", [](const Call& call) -> Value { return upper(call.value.str()); }},
  };
  return table;
}

}  // namespace

bool is_filter(const std::string& name) { return filters().contains(name); }

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const auto& [name, filter] : filters()) names.push_back(name);
  return names;
}

Value apply_filter(const std::string& name, const Value& value, const CallArguments& arguments,
                   const JinjaOptions& options) {
  const auto filter = filters().find(name);
  if (filter == filters().end())
    throw DataError(unknown_name("filter", name, "the template", filter_names()));
  return filter->second({value, arguments, options});
}

}  // namespace assay::jinja
