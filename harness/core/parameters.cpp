#include "harness/core/parameters.h"

#include <algorithm>
#include <cmath>

namespace assay::detail {

double checked_number(const JsonReader& value, const ParamSpec& spec) {
  const double number = value.as_number();
  if (!std::isfinite(number) || number < spec.range.low || number > spec.range.high)
    value.fail(fmt::format("parameter '{}' must lie in [{}, {}]", spec.name, spec.range.low,
                           spec.range.high));
  return number;
}

size_t checked_choice(const JsonReader& value, const ParamSpec& spec) {
  const std::string name = value.as_string();
  const auto it = std::find(spec.choices.begin(), spec.choices.end(), name);
  if (it == spec.choices.end())
    throw UserError(unknown_name(fmt::format("value of '{}'", spec.name), name, value.where(),
                                 {spec.choices.begin(), spec.choices.end()}));
  return static_cast<size_t>(it - spec.choices.begin());
}

std::vector<double> checked_list(const JsonReader& value, const ParamSpec& spec) {
  std::vector<double> numbers;
  for (const auto& element : value.elements()) numbers.push_back(checked_number(element, spec));
  return numbers;
}

}  // namespace assay::detail
