// What holds for the declaration of every registered method: its parameters, presets and needs.
#include <cmath>
#include <functional>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/conformance/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// The message of the UserError that a merge with these parameters ends in, before a tensor is
/// read.
std::string refusal(const std::string& name, const Json& parameters) {
  try {
    merge(name, parameters, untouchable(mixed_inputs(name)));
  } catch (const UserError& error) {
    return error.what();
  }
  return "no UserError";
}

/// A value of a type that the parameter does not have.
Json wrong_type(const ParamDoc& parameter) {
  return parameter.type == "number" || parameter.type == "integer" ? Json("text") : Json(12345);
}

/// Bad parameters are refused; `in` makes what the user wrote of those of a component.
void check_refusals(const std::string& name, const std::vector<ParamDoc>& parameters,
                    const std::function<Json(const Json& given)>& in) {
  const auto refused = [&](const std::string& key, const Json& value) {
    return refusal(name, in({{key, value}}));
  };
  CHECK_THAT(refused("no_such_parameter", 1), Contains("no_such_parameter"));
  for (const ParamDoc& parameter : parameters) {
    const std::string& own = parameter.name;
    CAPTURE(own);
    CHECK_THAT(refused(own + "x", parameter.default_value),
               Contains(own + "x") && Contains("'" + own + "'?"));
    CHECK_THAT(refused(own, wrong_type(parameter)), Contains(own));
    if (parameter.type == "number")
      for (const double value : {parameter.range.low - 1, parameter.range.high + 1})
        CHECK_THAT(refused(own, value), Contains("must lie in"));
    if (parameter.type == "integer") {
      const auto high = static_cast<int64_t>(parameter.range.high);
      CHECK_THAT(refused(own, high + 1), Contains("must lie in"));
      CHECK_THAT(refused(own, 1.5), Contains(own));
    }
    if (parameter.type == "list of numbers")
      CHECK_THAT(refused(own, {parameter.range.high + 1}), Contains("must lie in"));
    if (parameter.type == "list of texts") CHECK_THAT(refused(own, {"a", 1}), Contains(own));
    if (parameter.type == "choice") {
      const std::string choice = parameter.choices.front();
      CHECK_THAT(refused(own, choice + "x"), Contains("'" + choice + "'?"));
    }
    if (!parameter.children.empty())
      check_refusals(name, parameter.children, [&](const Json& given) {
        return in({{own, given}});
      });
  }
}

}  // namespace

TEST_CASE("every method says what it is", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  const MethodInfo& info = entry_of(name).info;

  CHECK(info.name == name);
  CHECK(info.version >= 1);
  CHECK_FALSE(info.summary.empty());
  CHECK_THAT(std::string(info.paper), Contains("arXiv:") || Contains("https://"));
  CHECK(info.needs.min_experts >= 1);
  CHECK(info.needs.max_experts >= info.needs.min_experts);
}

TEST_CASE("every parameter has help, a default in its range, and sweep values in it",
          "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  size_t grid = 1;
  for (const ParamDoc& parameter : entry_of(name).parameters()) {
    CAPTURE(name, parameter.name);
    CHECK_FALSE(parameter.help.empty());
    // As a component, the method has these keys besides its parameters.
    CHECK((parameter.name != "method" && parameter.name != "version"));
    CHECK(parameter.range.low <= parameter.range.high);
    // Given to the method as a user would give it.
    CHECK_NOTHROW(
        make_method(name, JsonReader(Json{{parameter.name, parameter.default_value}}, "test")));
    for (const Json& value : parameter.sweep)
      CHECK_NOTHROW(make_method(name, JsonReader(Json{{parameter.name, value}}, "test")));
    if (parameter.type == "number" || parameter.type == "integer")
      CHECK((std::isfinite(parameter.range.low) && std::isfinite(parameter.range.high)));
    grid *= std::max<size_t>(parameter.sweep.size(), 1);
  }
  CAPTURE(name);
  CHECK(grid <= 12);
}

TEST_CASE("every method refuses bad parameters before it reads a tensor", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  CHECK_THAT(refusal(name, Json::array()), Contains("object"));
  check_refusals(name, entry_of(name).parameters(), [](const Json& given) { return given; });
}

TEST_CASE("every method stores the parameters that make it again", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  const auto method = make_method(ref, JsonReader(Json::object(), "test"));
  const auto again =
      make_method(parse_method_ref(ref).name, JsonReader(method->parameters(), "test"));

  CHECK(again->parameters() == method->parameters());
  CHECK(method->parameters().size() == entry_of(ref).parameters().size());
}

TEST_CASE("every preset has help, and an unknown one names the nearest", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  for (const Preset& preset : entry_of(name).presets) {
    CHECK_FALSE(preset.help.empty());
    CHECK_THROWS_WITH(make_method(name + "@" + std::string(preset.name) + "x",
                                  JsonReader(Json::object(), "test")),
                      Contains("Did you mean"));
  }
  CHECK_THROWS_AS(make_method(name + "@no_such_preset", JsonReader(Json::object(), "test")),
                  UserError);
}

TEST_CASE("every method refuses a cell whose needs are not met, before it reads a tensor",
          "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  const Needs needs = make_method(name, JsonReader(Json::object(), "test"))->needs();
  MergeInputs inputs = untouchable(mixed_inputs(name));
  if (needs_evidence(needs)) {
    MergeInputs without_evidence = inputs;
    without_evidence.evidence = nullptr;
    CHECK_THROWS_AS(merge(name, Json::object(), without_evidence), SkipCell);
  }
  if (needs.base) {
    MergeInputs without_base = inputs;
    without_base.base = nullptr;
    CHECK_THROWS_AS(merge(name, Json::object(), without_base), SkipCell);
  }
  if (needs.max_experts < Needs::kAnyNumber) {
    inputs.experts.resize(static_cast<size_t>(needs.max_experts) + 1, inputs.experts.front());
    CHECK_THROWS_AS(merge(name, Json::object(), inputs), SkipCell);
  }
  inputs.experts.resize(static_cast<size_t>(needs.min_experts) - 1);
  CHECK_THROWS_AS(merge(name, Json::object(), inputs), SkipCell);
}
