/// Values of templates: those of Python that Jinja knows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "harness/jinja/jinja.h"

namespace assay::jinja {

class Value;
using Values = std::vector<Value>;
/// Keyword arguments, in their order.
using Named = std::vector<std::pair<std::string, Value>>;

struct Undefined {
  std::string name;      ///< of what is missing, for messages
  bool lenient = false;  ///< may be printed even in a strict template
};
struct List {
  Values items;
  bool tuple = false;
  int depth = 0;  ///< of lists and dictionaries in each other
  /// DataError when values would be nested too deeply.
  void add(Value value);
};
/// Keys are texts, in their order.
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;
  int depth = 0;
  Value* find(const std::string& key);
  void set(const std::string& key, Value value);
};
using Function = std::function<Value(const Values& arguments, const Named& named)>;

/// Lists, dictionaries and functions are shared, as in Python.
class Value {
 public:
  using Kind =
      std::variant<Undefined, std::monostate, bool, int64_t, double, std::string,
                   std::shared_ptr<List>, std::shared_ptr<Dict>, std::shared_ptr<Function>>;

  Value() : kind_(std::monostate()) {}
  Value(bool value) : kind_(value) {}
  Value(int64_t value) : kind_(value) {}
  Value(double value) : kind_(value) {}
  Value(std::string value) : kind_(std::move(value)) {}
  Value(const char* value) : kind_(std::string(value)) {}
  Value(Undefined value) : kind_(std::move(value)) {}
  static Value list(Values items, bool tuple = false);
  static Value dict(Dict dict);
  static Value function(Function function);
  template <typename AnyJson>
  static Value from_json(const AnyJson& json);

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(kind_);
  }
  template <typename T>
  const T& as() const {
    return std::get<T>(kind_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<std::monostate>(); }
  bool is_string() const { return is<std::string>(); }
  bool is_list() const { return is<std::shared_ptr<List>>(); }
  bool is_dict() const { return is<std::shared_ptr<Dict>>(); }
  bool is_function() const { return is<std::shared_ptr<Function>>(); }
  /// Including Booleans, as in Python.
  bool is_integer() const { return is<int64_t>() || is<bool>(); }
  bool is_number() const { return is_integer() || is<double>(); }

  const std::string& text() const { return as<std::string>(); }
  List& list() const { return *as<std::shared_ptr<List>>(); }
  Dict& dict() const { return *as<std::shared_ptr<Dict>>(); }
  int64_t integer() const { return is<bool>() ? as<bool>() : as<int64_t>(); }
  double number() const { return is<double>() ? as<double>() : static_cast<double>(integer()); }

  bool truth() const;
  int depth() const;
  /// Python's name of the type: "str", "list" ...
  const char* type_name() const;
  /// Python's str() and repr().
  std::string str() const;
  std::string repr() const;
  /// DataError for functions.
  Json json() const;

 private:
  explicit Value(Kind kind) : kind_(std::move(kind)) {}
  Kind kind_;
};

bool equal(const Value& a, const Value& b);
/// Below 0, 0 or above, of numbers, texts and lists of them; absent when they have no order.
std::optional<int> compare(const Value& a, const Value& b);

/// json.dumps of Python: `indent` below 0: one line. With `html`, as Jinja's filter.
std::string to_json(const Value& value, int64_t indent, bool html, bool sort_keys);

}  // namespace assay::jinja
