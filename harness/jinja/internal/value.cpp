#include "harness/jinja/internal/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"
#include "harness/jinja/python_text.h"

namespace assay::jinja {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

constexpr int kMaxDepth = 100;

[[noreturn]] void too_deep() {
  data_error("a value is nested more than {} levels deep", kMaxDepth);
}

/// Writes str() of containers, and JSON: both nest.
class Writer {
 public:
  std::string out;
  int depth = 0;

  template <typename Write>
  void nested(const Write& write) {
    if (++depth > kMaxDepth) too_deep();
    write();
    --depth;
  }
};

void write_repr(const Value& value, Writer& writer) {
  if (value.is_list()) {
    const List& list = value.list();
    writer.out += list.tuple ? '(' : '[';
    writer.nested([&] {
      for (size_t i = 0; i < list.items.size(); ++i) {
        if (i > 0) writer.out += ", ";
        write_repr(list.items[i], writer);
      }
    });
    if (list.tuple && list.items.size() == 1) writer.out += ',';
    writer.out += list.tuple ? ')' : ']';
  } else if (value.is_dict()) {
    writer.out += '{';
    writer.nested([&] {
      bool first = true;
      for (const auto& [key, entry] : value.dict().entries) {
        if (!first) writer.out += ", ";
        first = false;
        writer.out += python_repr(key) + ": ";
        write_repr(entry, writer);
      }
    });
    writer.out += '}';
  } else {
    writer.out += value.is_string() ? python_repr(value.text()) : value.str();
  }
}

class JsonWriter : public Writer {
 public:
  JsonWriter(int64_t indent, bool sort) : indent_(indent), sort_(sort) {}

  void write(const Value& value) {
    if (value.is_list()) {
      const Values& items = value.list().items;
      container('[', ']', items.size(), [&](size_t i) { write(items[i]); });
    } else if (value.is_dict()) {
      auto entries = value.dict().entries;
      if (sort_)
        std::stable_sort(entries.begin(), entries.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
      container('{', '}', entries.size(), [&](size_t i) {
        out += json_text(entries[i].first) + ": ";
        write(entries[i].second);
      });
    } else if (value.is_string()) {
      out += json_text(value.text());
    } else if (value.is_none()) {
      out += "null";
    } else if (value.is<bool>()) {
      out += value.as<bool>() ? "true" : "false";
    } else if (value.is_number()) {
      out += value.is<double>() && !std::isfinite(value.number())
                 ? (std::isnan(value.number()) ? "NaN"
                    : value.number() > 0       ? "Infinity"
                                               : "-Infinity")
                 : value.str();
    } else {
      data_error("a value of type {} is not JSON", value.type_name());
    }
  }

 private:
  static std::string json_text(const std::string& text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  template <typename Each>
  void container(char open, char close, size_t count, const Each& each) {
    out += open;
    if (count > 0) {
      nested([&] {
        for (size_t i = 0; i < count; ++i) {
          if (i > 0) out += indent_ < 0 ? ", " : ",";
          new_line();
          each(i);
        }
      });
      new_line();
    }
    out += close;
  }
  void new_line() {
    if (indent_ < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent_ * depth), ' ');
  }

  int64_t indent_;
  bool sort_;
};

}  // namespace

Value* Dict::find(const std::string& key) {
  for (auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

void List::add(Value value) {
  depth = std::max(depth, value.depth() + 1);
  if (depth > kMaxDepth) too_deep();
  items.push_back(std::move(value));
}

void Dict::set(const std::string& key, Value value) {
  depth = std::max(depth, value.depth() + 1);
  if (depth > kMaxDepth) too_deep();
  if (Value* found = find(key))
    *found = std::move(value);
  else
    entries.emplace_back(key, std::move(value));
}

Value Value::list(Values items, bool tuple) {
  List list{std::move(items), tuple};
  for (const Value& item : list.items) list.depth = std::max(list.depth, item.depth() + 1);
  if (list.depth > kMaxDepth) too_deep();
  return Value(Kind(std::make_shared<List>(std::move(list))));
}
Value Value::dict(Dict dict) {
  for (const auto& [key, value] : dict.entries)
    dict.depth = std::max(dict.depth, value.depth() + 1);
  if (dict.depth > kMaxDepth) too_deep();
  return Value(Kind(std::make_shared<Dict>(std::move(dict))));
}
int Value::depth() const { return is_list() ? list().depth : is_dict() ? dict().depth : 0; }
Value Value::function(Function function) {
  return Value(Kind(std::make_shared<Function>(std::move(function))));
}

template <typename AnyJson>
Value Value::from_json(const AnyJson& json) {
  if (json.is_null()) return {};
  if (json.is_boolean()) return json.template get<bool>();
  if (json.is_number_unsigned() &&
      json.template get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
    return json.template get<double>();
  if (json.is_number_integer()) return json.template get<int64_t>();
  if (json.is_number()) return json.template get<double>();
  if (json.is_string()) return json.template get<std::string>();
  if (json.is_array()) {
    Values items;
    for (const auto& item : json) items.push_back(from_json(item));
    return list(std::move(items));
  }
  Dict entries;
  for (const auto& [key, item] : json.items()) entries.entries.emplace_back(key, from_json(item));
  return dict(std::move(entries));
}
template Value Value::from_json(const Json&);
template Value Value::from_json(const OrderedJson&);

bool Value::truth() const {
  return std::visit(
      Overloaded{[](const Undefined&) { return false; }, [](std::monostate) { return false; },
                 [](bool value) { return value; }, [](int64_t value) { return value != 0; },
                 [](double value) { return value != 0; },
                 [](const std::string& value) { return !value.empty(); },
                 [](const std::shared_ptr<List>& value) { return !value->items.empty(); },
                 [](const std::shared_ptr<Dict>& value) { return !value->entries.empty(); },
                 [](const std::shared_ptr<Function>&) { return true; }},
      kind_);
}

const char* Value::type_name() const {
  constexpr const char* kNames[] = {"undefined", "NoneType", "bool", "int",     "float",
                                    "str",       "list",     "dict", "function"};
  return is_list() && list().tuple ? "tuple" : kNames[kind_.index()];
}

std::string Value::str() const {
  return std::visit(
      Overloaded{[](const Undefined&) { return std::string(); },
                 [](std::monostate) { return std::string("None"); },
                 [](bool value) { return std::string(value ? "True" : "False"); },
                 [](int64_t value) { return std::to_string(value); },
                 [](double value) { return python_float(value); },
                 [](const std::string& value) { return value; },
                 [this](const std::shared_ptr<List>&) { return repr(); },
                 [this](const std::shared_ptr<Dict>&) { return repr(); },
                 [](const std::shared_ptr<Function>&) { return std::string("<function>"); }},
      kind_);
}

std::string Value::repr() const {
  Writer writer;
  write_repr(*this, writer);
  return std::move(writer.out);
}

Json Value::json() const {
  if (is_list()) {
    Json out = Json::array();
    for (const Value& item : list().items) out.push_back(item.json());
    return out;
  }
  if (is_dict()) {
    Json out = Json::object();
    for (const auto& [key, value] : dict().entries) out[key] = value.json();
    return out;
  }
  if (is_string()) return text();
  if (is<bool>()) return as<bool>();
  if (is<int64_t>()) return as<int64_t>();
  if (is<double>()) return as<double>();
  if (is_none()) return {};
  data_error("a value of type {} is not JSON", type_name());
}

namespace {

bool equal_within(const Value& a, const Value& b, int depth);

std::optional<int> compare_within(const Value& a, const Value& b, int depth) {
  if (depth > kMaxDepth) too_deep();
  if (a.is_number() && b.is_number()) {
    const double one = a.number(), other = b.number();
    return one < other ? -1 : one > other ? 1 : 0;
  }
  // Bytes of UTF-8 are in the order of the characters.
  if (a.is_string() && b.is_string()) return a.text().compare(b.text());
  if (a.is_list() && b.is_list()) {
    const Values &one = a.list().items, &other = b.list().items;
    for (size_t i = 0; i < std::min(one.size(), other.size()); ++i)
      if (!equal_within(one[i], other[i], depth + 1))
        return compare_within(one[i], other[i], depth + 1);
    return one.size() < other.size() ? -1 : one.size() > other.size() ? 1 : 0;
  }
  return std::nullopt;
}

bool equal_within(const Value& a, const Value& b, int depth) {
  if (depth > kMaxDepth) too_deep();
  if (a.is_number() && b.is_number())
    return a.is_integer() && b.is_integer() ? a.integer() == b.integer() : a.number() == b.number();
  if (a.is_string() && b.is_string()) return a.text() == b.text();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_list() && b.is_list()) {
    const List &one = a.list(), &other = b.list();
    return one.tuple == other.tuple &&
           std::equal(one.items.begin(), one.items.end(), other.items.begin(), other.items.end(),
                      [depth](const Value& left, const Value& right) {
                        return equal_within(left, right, depth + 1);
                      });
  }
  if (a.is_dict() && b.is_dict()) {
    Dict &one = a.dict(), &other = b.dict();
    return one.entries.size() == other.entries.size() &&
           std::all_of(one.entries.begin(), one.entries.end(), [&](const auto& entry) {
             const Value* found = other.find(entry.first);
             return found && equal_within(entry.second, *found, depth + 1);
           });
  }
  return a.is_function() && b.is_function() &&
         a.as<std::shared_ptr<Function>>() == b.as<std::shared_ptr<Function>>();
}

}  // namespace

bool equal(const Value& a, const Value& b) { return equal_within(a, b, 0); }
std::optional<int> compare(const Value& a, const Value& b) { return compare_within(a, b, 0); }

std::string to_json(const Value& value, int64_t indent, bool html, bool sort_keys) {
  JsonWriter writer(indent, sort_keys);
  writer.write(value);
  if (!html) return std::move(writer.out);
  std::string out;
  for (const char c : writer.out) {
    if (c == '<' || c == '>' || c == '&' || c == '\'')
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace assay::jinja
