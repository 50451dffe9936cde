#include "harness/sweep/search/space.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "harness/core/error.h"

namespace assay {
namespace {

using Kind = SearchedParameter::Kind;

double reflected(double x) {
  x = std::fmod(std::abs(x), 2.0);
  return x > 1 ? 2 - x : x;
}

// One of `count` equal parts of [0, 1].
size_t part_of(double x, size_t count) {
  return std::min(static_cast<size_t>(x * static_cast<double>(count)), count - 1);
}

Json value_at(const SearchedParameter& parameter, double x) {
  const auto [low, high] = parameter.range;
  if (parameter.kind == Kind::kChoice)
    return parameter.choices[part_of(x, parameter.choices.size())];
  if (parameter.kind == Kind::kInteger)
    return static_cast<int64_t>(low) +
           static_cast<int64_t>(part_of(x, static_cast<size_t>(high - low) + 1));
  const double value = std::stod(fmt::format("{:.6g}", low + x * (high - low)));
  return std::clamp(value, low, high);
}

double place_of(const SearchedParameter& parameter, const Json& value) {
  constexpr double kMiddle = 0.5;
  const auto [low, high] = parameter.range;
  if (parameter.kind == Kind::kChoice) {
    const auto& choices = parameter.choices;
    const auto found = std::find(choices.begin(), choices.end(), value);
    return found == choices.end() ? kMiddle
                                  : (static_cast<double>(found - choices.begin()) + kMiddle) /
                                        static_cast<double>(choices.size());
  }
  if (!value.is_number()) return kMiddle;
  const double place = value.get<double>() - low;
  return std::clamp(parameter.kind == Kind::kInteger ? (place + kMiddle) / (high - low + 1)
                                                     : place / (high - low),
                    0.0, 1.0);
}

}  // namespace

SearchSpace::SearchSpace(const SearchSpec& spec, Json fixed, const Json& defaults,
                         size_t num_experts)
    : parameters_(spec.space),
      groups_(spec.layer_groups),
      fixed_(std::move(fixed)),
      num_experts_(num_experts) {
  for (const SearchedParameter& parameter : parameters_) {
    const Json own = defaults.value(parameter.name, Json());
    const size_t groups = groups_.empty() || parameter.kind == Kind::kChoice ? 1 : groups_.size();
    for (size_t group = 0; group < groups; ++group)
      for (size_t i = 0; i < values_of(parameter); ++i)
        start_.push_back(place_of(parameter, own.is_array() && i < own.size() ? own[i] : own));
  }
}

size_t SearchSpace::values_of(const SearchedParameter& parameter) const {
  if (parameter.kind != Kind::kList) return 1;
  return parameter.entries > 0 ? static_cast<size_t>(parameter.entries) : num_experts_;
}

Json SearchSpace::at(const std::vector<double>& point) const {
  ASSAY_CHECK(point.size() == dimensions(), "a point of {} coordinates", point.size());
  Json parameters = fixed_;
  auto next = point.begin();
  const auto value = [&](const SearchedParameter& parameter) -> Json {
    if (parameter.kind != Kind::kList) return value_at(parameter, reflected(*next++));
    Json list = Json::array();
    for (size_t i = 0; i < values_of(parameter); ++i)
      list.push_back(value_at(parameter, reflected(*next++)));
    return list;
  };
  for (const SearchedParameter& parameter : parameters_) {
    if (groups_.empty() || parameter.kind == Kind::kChoice) {
      parameters[parameter.name] = value(parameter);
      continue;
    }
    Json& table = parameters[parameter.name] = Json::object();
    for (const std::string& group : groups_) table[group] = value(parameter);
  }
  return parameters;
}

}  // namespace assay
