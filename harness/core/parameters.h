/// Parameters declared once: `void parameters(auto&& p)` of a method calls p(field, {.name = ...})
/// for every field, and parsing, checking, documentation, sweeping and storing all come from that.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/json.h"

namespace assay {

/// A closed interval.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

/// One parameter. A field is a double, an int64_t, a bool, a std::vector<double> (a value per
/// expert; empty: all equal) or an enum, whose enumerators 0, 1, ... are named by `choices` in
/// order.
struct ParamSpec {
  std::string_view name;
  Range range{};
  std::vector<double> sweep{};  ///< values tried when a sweep asks for the method's own grid
  std::vector<std::string_view> choices{};
  std::string_view help{};
};

/// A parameter's description, for documentation and for planning.
struct ParamDoc {
  std::string name;
  std::string type;  ///< "number", "integer", "boolean", "list of numbers", "choice"
  Json default_value;
  Range range;
  std::vector<Json> sweep;
  std::vector<std::string> choices;
  std::string help;
};

namespace detail {

template <typename T>
constexpr std::string_view parameter_type() {
  if constexpr (std::is_same_v<T, bool>)
    return "boolean";
  else if constexpr (std::is_enum_v<T>)
    return "choice";
  else if constexpr (std::is_same_v<T, double>)
    return "number";
  else if constexpr (std::is_same_v<T, int64_t>)
    return "integer";
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    return "list of numbers";
  else
    static_assert(sizeof(T) == 0, "a parameter of this type is not supported");
}

template <typename T>
Json parameter_to_json(const T& field, const ParamSpec& spec) {
  if constexpr (std::is_enum_v<T>)
    return std::string(spec.choices.at(static_cast<size_t>(field)));
  else
    return field;
}

double checked_number(const JsonReader& value, const ParamSpec& spec);
size_t checked_choice(const JsonReader& value, const ParamSpec& spec);
std::vector<double> checked_list(const JsonReader& value, const ParamSpec& spec);

template <typename T>
void parameter_from_json(T& field, const JsonReader& value, const ParamSpec& spec) {
  if constexpr (std::is_same_v<T, bool>) {
    field = value.as_bool();
  } else if constexpr (std::is_enum_v<T>) {
    field = static_cast<T>(checked_choice(value, spec));
  } else if constexpr (std::is_same_v<T, int64_t>) {
    value.as_integer();  // refuses 1.5
    field = static_cast<int64_t>(checked_number(value, spec));
  } else if constexpr (std::is_same_v<T, double>) {
    field = checked_number(value, spec);
  } else {
    field = checked_list(value, spec);
  }
}

}  // namespace detail

/// All parameters with the defaults of a default-constructed `Declarer`.
template <typename Declarer>
std::vector<ParamDoc> describe_parameters() {
  std::vector<ParamDoc> docs;
  Declarer object{};
  if constexpr (requires { object.parameters([](auto&, const ParamSpec&) {}); })
    object.parameters([&]<typename T>(T& field, const ParamSpec& spec) {
      ParamDoc doc{std::string(spec.name),
                   std::string(detail::parameter_type<T>()),
                   detail::parameter_to_json(field, spec),
                   spec.range,
                   {},
                   {},
                   std::string(spec.help)};
      for (const double value : spec.sweep)
        doc.sweep.push_back(std::is_same_v<T, int64_t> ? Json(static_cast<int64_t>(value))
                                                       : Json(value));
      for (const auto choice : spec.choices) doc.choices.emplace_back(choice);
      docs.push_back(std::move(doc));
    });
  return docs;
}

/// Sets fields from a JSON object. UserError on unknown names (with the nearest), wrong types and
/// values out of range.
template <typename Declarer>
void assign_parameters(Declarer& object, JsonReader json) {
  if (!json.is_object()) json.fail("expected an object of parameters");
  if constexpr (requires { object.parameters([](auto&, const ParamSpec&) {}); })
    object.parameters([&](auto& field, const ParamSpec& spec) {
      if (const auto value = json.find(std::string(spec.name)))
        detail::parameter_from_json(field, *value, spec);
    });
  json.finish();
}

/// Every parameter with its value, defaults included.
template <typename Declarer>
Json parameters_to_json(const Declarer& object) {
  Json json = Json::object();
  Declarer copy = object;
  if constexpr (requires { copy.parameters([](auto&, const ParamSpec&) {}); })
    copy.parameters([&](auto& field, const ParamSpec& spec) {
      json[std::string(spec.name)] = detail::parameter_to_json(field, spec);
    });
  return json;
}

}  // namespace assay
