/// What a declaration says of a parameter, and what is known of it afterwards.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// A closed interval.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

/// One parameter. A field is a double, an int64_t, a bool, a std::string, a std::vector<double> (a
/// value per expert; empty: all equal), a std::vector<std::string>, an enum, whose enumerators 0,
/// 1, ... are named by `choices` in order, or a component (see ComponentField).
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
  /// "number", "integer", "boolean", "choice", "text", "list of numbers", "list of texts", or the
  /// kind of a component: "method".
  std::string type;
  Json default_value;
  Range range;
  std::vector<Json> sweep;
  std::vector<std::string> choices;
  std::string help;
  std::vector<ParamDoc> children{};  ///< a component's own parameters, as its default has them
};

/// A field that reads, writes and documents itself, because it has parameters of its own:
/// MethodComponent (harness/method/component.h).
template <typename T>
concept ComponentField = requires(T field, const T& made, const JsonReader& json) {
  std::string_view{T::kType};
  field.read(json);
  Json{made.to_json()};
  std::vector<ParamDoc>{made.describe()};
};

}  // namespace assay
