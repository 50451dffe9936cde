/// How the field of a parameter is named, read and written, by its type.
#pragma once

#include <cstdint>
#include <type_traits>

#include "harness/core/parameters/spec.h"

namespace assay::detail {

template <typename T>
constexpr std::string_view parameter_type() {
  if constexpr (ComponentField<T>)
    return T::kType;
  else if constexpr (std::is_same_v<T, bool>)
    return "boolean";
  else if constexpr (std::is_enum_v<T>)
    return "choice";
  else if constexpr (std::is_same_v<T, double>)
    return "number";
  else if constexpr (std::is_same_v<T, int64_t>)
    return "integer";
  else if constexpr (std::is_same_v<T, std::string>)
    return "text";
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    return "list of numbers";
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return "list of texts";
  else
    static_assert(sizeof(T) == 0, "a parameter of this type is not supported");
}

template <typename T>
Json parameter_to_json(const T& field, const ParamSpec& spec) {
  if constexpr (ComponentField<T>)
    return field.to_json();
  else if constexpr (std::is_enum_v<T>)
    return std::string(spec.choices.at(static_cast<size_t>(field)));
  else
    return field;
}

double checked_number(const JsonReader& value, const ParamSpec& spec);
size_t checked_choice(const JsonReader& value, const ParamSpec& spec);
std::vector<double> checked_list(const JsonReader& value, const ParamSpec& spec);

template <typename T>
void parameter_from_json(T& field, const JsonReader& value, const ParamSpec& spec) {
  if constexpr (ComponentField<T>) {
    field.read(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    field = value.as_bool();
  } else if constexpr (std::is_enum_v<T>) {
    field = static_cast<T>(checked_choice(value, spec));
  } else if constexpr (std::is_same_v<T, int64_t>) {
    value.as_integer();  // refuses 1.5
    field = static_cast<int64_t>(checked_number(value, spec));
  } else if constexpr (std::is_same_v<T, double>) {
    field = checked_number(value, spec);
  } else if constexpr (std::is_same_v<T, std::string>) {
    field = value.as_string();
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    field = value.as_strings();
  } else {
    field = checked_list(value, spec);
  }
}

template <typename T>
ParamDoc parameter_doc(const T& field, const ParamSpec& spec) {
  ParamDoc doc{std::string(spec.name),
               std::string(parameter_type<T>()),
               parameter_to_json(field, spec),
               spec.range,
               {},
               {},
               std::string(spec.help)};
  for (const double value : spec.sweep)
    doc.sweep.push_back(std::is_same_v<T, int64_t> ? Json(static_cast<int64_t>(value))
                                                   : Json(value));
  for (const auto choice : spec.choices) doc.choices.emplace_back(choice);
  if constexpr (ComponentField<T>) doc.children = field.describe();
  return doc;
}

}  // namespace assay::detail
