#include "harness/sweep/internal/expert_lists.h"

#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

MethodSpec linear_row(const Json& parameters) {
  MethodSpec spec;
  spec.label = spec.method = "linear";
  spec.parameters = parameters;
  spec.where = "sweep.json: $.methods[1]";
  return spec;
}

ExpertSet set_of(const std::string& name, size_t experts) {
  return {name, std::nullopt, std::vector<std::string>(experts, "x"), std::nullopt};
}

}  // namespace

TEST_CASE("lists of a row have a value per expert or none", "[sweep]") {
  CHECK_FALSE(unfit_lists(linear_row({{"weights", {1, 2}}, {"normalize", true}}), 2));
  CHECK_FALSE(unfit_lists(linear_row({{"weights", Json::array()}}), 2));
  CHECK_THAT(*unfit_lists(linear_row({{"weights", {1, 2}}}), 3),
             Contains("'weights' has 2 entries for 3 experts"));
  MethodSpec searched = linear_row(Json::object());
  searched.grid["weights"] = {Json{1, 2}, Json{1, 2, 3}};
  CHECK(unfit_lists(searched, 2));
}

TEST_CASE("a row whose lists fit no set of the sweep is refused", "[sweep]") {
  SweepFile file;
  file.sets = {set_of("pair", 2), set_of("three", 3)};
  file.methods = {linear_row({{"weights", {1, 2, 3}}})};
  CHECK_NOTHROW(check_lists(file));
  file.methods.push_back(linear_row({{"weights", {1, 2, 3, 4}}}));
  CHECK_THROWS_WITH(check_lists(file), Contains("$.methods[1]") && Contains("'pair'"));
}
