#include "harness/jinja/internal/functions.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"
#include "harness/jinja/internal/text_functions.h"

namespace assay::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as in Jinja's sandbox

Value texts(std::vector<std::string> parts) {
  Values out(std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
  return Value::list(std::move(out));
}

using Method = Value (*)(const Value& self, const CallArguments& arguments);
struct MethodRow {
  const char* name;
  Method run;
};

const std::string* optional_text(const CallArguments& arguments, size_t position,
                                 const char* name) {
  const Value* value = arguments.find(position, name);
  return value && !value->is_none() ? &arguments.text(position, name) : nullptr;
}

Value strip(const Value& self, const CallArguments& arguments, bool left, bool right) {
  return stripped_of(self.text(), optional_text(arguments, 0, "chars"), left, right);
}

bool affixed(const std::string& text, const Value& affix, bool at_start) {
  if (affix.is_list())
    return std::any_of(affix.list().items.begin(), affix.list().items.end(),
                       [&](const Value& one) { return affixed(text, one, at_start); });
  if (!affix.is_string()) data_error("a text is expected, found a {}", affix.type_name());
  return at_start ? text.starts_with(affix.text()) : text.ends_with(affix.text());
}

/// The position in characters; -1 when there is none.
int64_t position_of(const std::string& text, size_t byte) {
  return byte == std::string::npos
             ? -1
             : static_cast<int64_t>(count_characters(std::string_view(text).substr(0, byte)));
}

bool only_characters(const std::string& text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string::npos;
}

int64_t occurrences(const std::string& text, const std::string& part) {
  if (part.empty()) return static_cast<int64_t>(count_characters(text)) + 1;
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

Value split_method(const Value& self, const CallArguments& arguments) {
  const std::string* separator = optional_text(arguments, 0, "sep");
  if (separator && separator->empty()) arguments.fail("the separator is empty");
  return texts(split(self.text(), separator, arguments.integer(1, "maxsplit", -1)));
}
Value split_right_method(const Value& self, const CallArguments& arguments) {
  const std::string* separator = optional_text(arguments, 0, "sep");
  if (!separator || separator->empty()) arguments.fail("a separator is needed");
  return texts(split_from_right(self.text(), *separator, arguments.integer(1, "maxsplit", -1)));
}
Value join_method(const Value& self, const CallArguments& arguments) {
  std::string out;
  bool first = true;
  for (const Value& item : items_of(arguments.at(0, "iterable"))) {
    if (!item.is_string()) arguments.fail(fmt::format("a {} is no text", item.type_name()));
    out += (first ? "" : self.text()) + item.text();
    first = false;
  }
  return out;
}

using V = const Value&;
using A = const CallArguments&;

constexpr MethodRow kTextMethods[] = {
    {"capitalize", [](V self, A) -> Value { return capitalized(self.text()); }},
    {"count",
     [](V self, A arguments) -> Value {
       return occurrences(self.text(), arguments.text(0, "sub"));
     }},
    {"endswith",
     [](V self, A arguments) -> Value {
       return affixed(self.text(), arguments.at(0, "suffix"), false);
     }},
    {"find",
     [](V self, A arguments) -> Value {
       return position_of(self.text(), self.text().find(arguments.text(0, "sub")));
     }},
    {"index",
     [](V self, A arguments) -> Value {
       const size_t at = self.text().find(arguments.text(0, "sub"));
       if (at == std::string::npos) arguments.fail("the text does not contain it");
       return position_of(self.text(), at);
     }},
    {"isalpha",
     [](V self, A) -> Value {
       return only_characters(lower(self.text()), "abcdefghijklmnopqrstuvwxyz");
     }},
    {"isdigit", [](V self, A) -> Value { return only_characters(self.text(), "0123456789"); }},
    {"islower", [](V self, A) -> Value { return is_cased(self.text(), false); }},
    {"isspace",
     [](V self, A) -> Value {
       return !self.text().empty() && stripped_of(self.text(), nullptr, true, true).empty();
     }},
    {"isupper", [](V self, A) -> Value { return is_cased(self.text(), true); }},
    {"join", join_method},
    {"lower", [](V self, A) -> Value { return lower(self.text()); }},
    {"lstrip", [](V self, A arguments) { return strip(self, arguments, true, false); }},
    {"removeprefix",
     [](V self, A arguments) -> Value {
       const std::string& prefix = arguments.text(0, "prefix");
       return self.text().substr(self.text().starts_with(prefix) ? prefix.size() : 0);
     }},
    {"removesuffix",
     [](V self, A arguments) -> Value {
       const std::string& suffix = arguments.text(0, "suffix");
       const size_t removed = self.text().ends_with(suffix) ? suffix.size() : 0;
       return self.text().substr(0, self.text().size() - removed);
     }},
    {"replace",
     [](V self, A arguments) -> Value {
       return replaced(self.text(), arguments.text(0, "old"), arguments.text(1, "new"),
                       arguments.integer(2, "count", -1));
     }},
    {"rfind",
     [](V self, A arguments) -> Value {
       return position_of(self.text(), self.text().rfind(arguments.text(0, "sub")));
     }},
    {"rsplit", split_right_method},
    {"rstrip", [](V self, A arguments) { return strip(self, arguments, false, true); }},
    {"split", split_method},
    {"splitlines",
     [](V self, A arguments) {
       return texts(lines_of(self.text(), arguments.flag(0, "keepends", false)));
     }},
    {"startswith",
     [](V self, A arguments) -> Value {
       return affixed(self.text(), arguments.at(0, "prefix"), true);
     }},
    {"strip", [](V self, A arguments) { return strip(self, arguments, true, true); }},
    {"title", [](V self, A) -> Value { return title_of_letters(self.text()); }},
    {"upper", [](V self, A) -> Value { return upper(self.text()); }},
};

Value index_method(const Value& self, const CallArguments& arguments) {
  const Values& items = self.list().items;
  const Value& wanted = arguments.at(0, "value");
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(items[i], wanted)) return static_cast<int64_t>(i);
  arguments.fail("the value is not in the list");
}

constexpr MethodRow kListMethods[] = {
    {"append",
     [](V self, A arguments) -> Value {
       self.list().add(arguments.at(0, "object"));
       return {};
     }},
    {"count",
     [](V self, A arguments) -> Value {
       const Value& wanted = arguments.at(0, "value");
       return static_cast<int64_t>(
           std::count_if(self.list().items.begin(), self.list().items.end(),
                         [&](const Value& item) { return equal(item, wanted); }));
     }},
    {"index", index_method},
};

Value pairs(const Value& self) {
  Values out;
  for (const auto& [key, value] : self.dict().entries)
    out.push_back(Value::list({key, value}, true));
  return Value::list(std::move(out));
}

constexpr MethodRow kDictMethods[] = {
    {"get",
     [](V self, A arguments) -> Value {
       const Value& key = arguments.at(0, "key");
       if (const Value* found = key.is_string() ? self.dict().find(key.text()) : nullptr)
         return *found;
       const Value* fallback = arguments.find(1, "default");
       return fallback ? *fallback : Value();
     }},
    {"items", [](V self, A) { return pairs(self); }},
    {"keys", [](V self, A) { return Value::list(items_of(self)); }},
    {"update",
     [](V self, A arguments) -> Value {
       const Value& other = arguments.at(0, "other");
       if (!other.is_dict()) arguments.fail("a dictionary is expected");
       for (const auto& [key, value] : Dict(other.dict()).entries) self.dict().set(key, value);
       return {};
     }},
    {"values",
     [](V self, A) {
       Values out;
       for (const auto& [key, value] : self.dict().entries) out.push_back(value);
       return Value::list(std::move(out));
     }},
};

template <size_t N>
Value bound(const MethodRow (&rows)[N], const Value& self, const std::string& name) {
  for (const MethodRow& row : rows)
    if (name == row.name)
      return Value::function([self, &row](const Values& values, const Named& named) {
        return row.run(self, {std::string(row.name) + "()", values, named});
      });
  return Undefined{};
}

Value range(const Values& values, const Named& named) {
  const CallArguments arguments("range()", values, named);
  const bool from_zero = values.size() == 1;
  const int64_t first = from_zero ? 0 : arguments.integer(0, "start");
  const int64_t end = arguments.integer(from_zero ? 0 : 1, "stop");
  const int64_t step = arguments.integer(2, "step", 1);
  if (step == 0) arguments.fail("the step is 0");
  Values out;
  for (int64_t i = first; step > 0 ? i < end : i > end;) {
    out.emplace_back(i);
    if (static_cast<int64_t>(out.size()) > kMaxRange)
      arguments.fail(fmt::format("it has more than {} numbers", kMaxRange));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::list(std::move(out));
}

/// dict() and namespace(): of a dictionary, keyword arguments or both.
Value dictionary(const Values& values, const Named& named) {
  Dict out;
  if (!values.empty()) {
    if (!values.front().is_dict()) data_error("a dictionary is expected");
    out = values.front().dict();
  }
  for (const auto& [key, value] : named) out.set(key, value);
  return Value::dict(std::move(out));
}

}  // namespace

const Value* CallArguments::find(size_t position, const std::string& name) const {
  if (position < values_.size()) return &values_[position];
  for (const auto& [key, value] : named_)
    if (key == name) return &value;
  return nullptr;
}

const Value& CallArguments::at(size_t position, const std::string& name) const {
  const Value* value = find(position, name);
  if (!value || value->is_undefined()) fail(fmt::format("'{}' is missing", name));
  return *value;
}

const std::string& CallArguments::text(size_t position, const std::string& name) const {
  const Value& value = at(position, name);
  if (!value.is_string()) fail(fmt::format("'{}' is a text, found a {}", name, value.type_name()));
  return value.text();
}

int64_t CallArguments::integer(size_t position, const std::string& name) const {
  const Value& value = at(position, name);
  if (!value.is_integer())
    fail(fmt::format("'{}' is an integer, found a {}", name, value.type_name()));
  return value.integer();
}

std::string CallArguments::text(size_t position, const std::string& name,
                                const std::string& fallback) const {
  return find(position, name) ? text(position, name) : fallback;
}

int64_t CallArguments::integer(size_t position, const std::string& name, int64_t fallback) const {
  return find(position, name) ? integer(position, name) : fallback;
}

bool CallArguments::flag(size_t position, const std::string& name, bool fallback) const {
  const Value* value = find(position, name);
  return value ? value->truth() : fallback;
}

void CallArguments::fail(const std::string& why) const { data_error("{}: {}", what_, why); }

Value method_of(const Value& value, const std::string& name) {
  if (value.is_string()) return bound(kTextMethods, value, name);
  if (value.is_list()) return bound(kListMethods, value, name);
  if (value.is_dict()) return bound(kDictMethods, value, name);
  return Undefined{};
}

Value item_of(const Value& value, const Value& key) {
  const auto missing = [&] {
    return Undefined{fmt::format("{} of a {}", key.repr(), value.type_name())};
  };
  if (value.is_dict()) {
    const Value* found = value.dict().find(key.str());
    return found ? *found : Value(missing());
  }
  if ((!value.is_list() && !value.is_string()) || !key.is_integer()) return missing();
  const Values items = value.is_list() ? value.list().items : items_of(value);
  const auto size = static_cast<int64_t>(items.size());
  const int64_t index = key.integer() < 0 ? key.integer() + size : key.integer();
  return index >= 0 && index < size ? items[static_cast<size_t>(index)] : Value(missing());
}

Values items_of(const Value& value) {
  if (value.is_list()) return value.list().items;
  Values out;
  if (value.is_dict()) {
    for (const auto& [key, entry] : value.dict().entries) out.emplace_back(key);
  } else if (value.is_string()) {
    for (std::string& character : characters_of(value.text()))
      out.emplace_back(std::move(character));
  } else if (!value.is_undefined()) {
    data_error("a value of type {} cannot be iterated over", value.type_name());
  }
  return out;
}

int64_t length_of(const Value& value) {
  if (value.is_list()) return static_cast<int64_t>(value.list().items.size());
  if (value.is_dict()) return static_cast<int64_t>(value.dict().entries.size());
  if (value.is_string()) return static_cast<int64_t>(count_characters(value.text()));
  if (value.is_undefined()) return 0;
  data_error("a value of type {} has no length", value.type_name());
}

bool contains(const Value& container, const Value& value) {
  if (container.is_string()) {
    if (!value.is_string()) data_error("'in' a text: a {} is no text", value.type_name());
    return container.text().find(value.text()) != std::string::npos;
  }
  if (container.is_dict()) return value.is_string() && container.dict().find(value.text());
  const Values items = items_of(container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& item) { return equal(item, value); });
}

Dict global_functions() {
  Dict globals;
  globals.set("range", Value::function(range));
  globals.set("dict", Value::function(dictionary));
  globals.set("namespace", Value::function(dictionary));
  globals.set("raise_exception",
              Value::function([](const Values& values, const Named& named) -> Value {
                const CallArguments arguments("raise_exception()", values, named);
                data_error("the template says: {}", arguments.at(0, "message").str());
              }));
  return globals;
}

}  // namespace assay::jinja
