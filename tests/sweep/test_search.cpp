/// Searches without models: candidates get their scores from a function.
#include <cmath>
#include <functional>
#include <set>

#include "harness/core/error.h"
#include "harness/sweep/search/search.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

using Merits = std::function<std::vector<double>(const Json& candidate)>;
using Kind = SearchedParameter::Kind;

std::vector<ParamDoc> parameters() {
  return {{"scale", "number", 0.5, {0, 2}, {}, {}, "how much"},
          {"shift", "number", 0.0, {-10, 10}, {}, {}, "where to"},
          {"rounds", "integer", 3, {1, 9}, {}, {}, "how often"},
          {"weights", "list of numbers", Json::array(), {-10, 10}, {}, {}, "one per expert"},
          {"scope", "choice", "tensor", {}, {}, {"tensor", "model"}, "of what"},
          {"strict", "boolean", false, {}, {}, {}, "or not"}};
}

SearchSpec read_spec(const Json& json, const Json& fixed = Json::object()) {
  return read_search(JsonReader(json, "row.search"), parameters(), fixed);
}

Json defaults() {
  Json values = Json::object();
  for (const ParamDoc& parameter : parameters()) values[parameter.name] = parameter.default_value;
  return values;
}

std::unique_ptr<Search> make(const Json& json, SetSize set = {3, 2}) {
  return make_search(read_spec(json), Json::object(), defaults(), set);
}

/// Answers the search's questions until it has none.
void run_search(Search& search, const Merits& score) {
  for (auto asked = search.ask(); !asked.empty(); asked = search.ask()) {
    CHECK(search.ask() == asked);  // until it is told
    std::vector<std::vector<double>> merits;
    for (const Json& candidate : asked) merits.push_back(score(candidate));
    search.tell(merits);
  }
}

double best_merit(const Json& json, const Merits& score) {
  const auto search = make(json);
  run_search(*search, score);
  CHECK(static_cast<int64_t>(search->trials().size()) == json["budget"]);
  return *search->trials()[search->best().value()].merit();
}

Json space(const std::string& algorithm, int64_t budget, const Json& of, int seed = 0) {
  return {{"algorithm", algorithm}, {"budget", budget}, {"seed", seed}, {"space", of}};
}

std::vector<Json> candidates_of(const Search& search) {
  std::vector<Json> candidates;
  for (const Trial& trial : search.trials()) candidates.push_back(trial.candidate);
  return candidates;
}

// A sphere around (0.8, 3, -2, 6); 0 is the best.
std::vector<double> sphere(const Json& candidate) {
  const auto square = [](double x) { return x * x; };
  double sum = square((candidate["scale"].get<double>() - 0.8) * 10);
  const double goal[] = {3, -2, 6};
  for (size_t i = 0; i < 3; ++i) sum += square(candidate["weights"][i].get<double>() - goal[i]);
  return {-sum};
}

std::vector<double> rosenbrock(const Json& candidate) {
  const double x = candidate["scale"].get<double>(), y = candidate["shift"].get<double>();
  return {-(std::pow(1 - x, 2) + 100 * std::pow(y - x * x, 2))};
}

}  // namespace

TEST_CASE("CMA-ES finds the summit of a sphere within its budget, where random does not",
          "[sweep][search]") {
  const Json of = {{"scale", {0, 2}}, {"weights", {-10, 10}}};
  for (const int seed : {0, 1, 2}) {
    INFO(seed);
    const double evolved = best_merit(space("cma_es", 400, of, seed), sphere);
    CHECK(evolved > -1e-3);
    CHECK(evolved > best_merit(space("random", 400, of, seed), sphere) + 1);
    // A budget as for models.
    CHECK(best_merit(space("cma_es", 60, of, seed), sphere) >
          best_merit(space("random", 60, of, seed), sphere));
  }
}

TEST_CASE("CMA-ES follows the valley of Rosenbrock's function", "[sweep][search]") {
  const Json of = {{"scale", {0, 2}}, {"shift", {-2, 2}}};
  CHECK(best_merit(space("cma_es", 600, of), rosenbrock) > -1e-4);
}

TEST_CASE("CMA-ES searches one dimension and a summit on the edge", "[sweep][search]") {
  const Merits rising = [](const Json& candidate) {
    return std::vector{candidate["scale"].get<double>()};
  };
  CHECK(best_merit(space("cma_es", 60, {{"scale", {0, 2}}}), rising) > 1.95);
}

TEST_CASE("searches begin with the row's own parameters, moved into the space", "[sweep][search]") {
  for (const char* algorithm : {"random", "cma_es", "nsga2"}) {
    INFO(algorithm);
    const auto search = make(space(algorithm, 10,
                                   {{"scale", {0.75, 1}},
                                    {"rounds", {1, 5}},
                                    {"weights", {0, 1}},
                                    {"scope", {"model", "tensor"}},
                                    {"strict", {true, false}}}));
    CHECK(search->ask().front() == Json{{"scale", 0.75},
                                        {"rounds", 3},
                                        {"weights", {0.5, 0.5, 0.5}},
                                        {"scope", "tensor"},
                                        {"strict", false}});
  }
}

TEST_CASE("the same seed and scores lead to the same candidates, another seed to others",
          "[sweep][search]") {
  const Merits two = [](const Json& candidate) {
    const double x = candidate["scale"].get<double>();
    return std::vector{x, -x * x};
  };
  for (const char* algorithm : {"random", "cma_es", "nsga2"}) {
    INFO(algorithm);
    const Json of = {{"scale", {0, 2}}, {"shift", {-1, 1}}};
    const auto one = make(space(algorithm, 50, of)), same = make(space(algorithm, 50, of)),
               other = make(space(algorithm, 50, of, 1));
    for (Search* search : {one.get(), same.get(), other.get()}) run_search(*search, two);
    CHECK(candidates_of(*one) == candidates_of(*same));
    CHECK(candidates_of(*one) != candidates_of(*other));
    CHECK(one->trials().size() == 50);
  }
}

TEST_CASE("candidates stay in the space, integers and choices included", "[sweep][search]") {
  std::set<int64_t> rounds;
  std::set<std::string> scopes;
  const auto search = make(space(
      "random", 200, {{"scale", {0.2, 0.3}}, {"rounds", {2, 4}}, {"scope", {"tensor", "model"}}}));
  for (const Json& candidate : search->ask()) {
    CHECK((candidate["scale"] >= 0.2 && candidate["scale"] <= 0.3));
    CHECK(candidate["scale"].dump().size() <= 8);  // six significant digits
    rounds.insert(candidate["rounds"].get<int64_t>());
    scopes.insert(candidate["scope"].get<std::string>());
  }
  CHECK(rounds == std::set<int64_t>{2, 3, 4});
  CHECK(scopes == std::set<std::string>{"model", "tensor"});
}

TEST_CASE("layer groups give every number a table", "[sweep][search]") {
  Json json =
      space("random", 3, {{"scale", {0, 1}}, {"weights", {0, 1}}, {"scope", {"model", "tensor"}}});
  json["layer_groups"] = {"first", "last"};
  const Json candidate = make(json)->ask().back();
  CHECK(candidate["scale"].size() == 3);
  for (const char* group : {"first", "last", "*"}) {
    CHECK(candidate["scale"][group].is_number());
    CHECK(candidate["weights"][group].size() == 3);
  }
  CHECK(candidate["scale"]["first"] != candidate["scale"]["last"]);
  CHECK(candidate["scope"].is_string());
}

TEST_CASE("NSGA-II's front spreads along two objectives", "[sweep][search]") {
  // Schaffer's problem: all of 0 <= shift <= 2 is optimal, everything else is dominated.
  const Merits schaffer = [](const Json& candidate) {
    const double x = candidate["shift"].get<double>();
    return std::vector{-x * x, -(x - 2) * (x - 2)};
  };
  const auto search = make(space("nsga2", 200, {{"shift", {-10, 10}}}));
  run_search(*search, schaffer);
  int optimal = 0;
  double low = 2, high = 0;
  for (size_t i = search->trials().size() - 48; i < search->trials().size(); ++i) {
    const double x = search->trials()[i].candidate["shift"].get<double>();
    if (x < -0.1 || x > 2.1) continue;
    ++optimal;
    low = std::min(low, x);
    high = std::max(high, x);
  }
  CHECK(optimal > 32);
  CHECK(low < 0.5);
  CHECK(high > 1.5);
  // The winner is the best of the means, which is at 1.
  CHECK(std::abs(search->trials()[*search->best()].candidate["shift"].get<double>() - 1) < 0.2);
}

TEST_CASE("candidates without scores count as worst and end no search", "[sweep][search]") {
  const Merits partly = [](const Json& candidate) {
    const double x = candidate["scale"].get<double>();
    return x > 1 ? std::vector<double>{} : std::vector<double>{x, NAN};
  };
  const Merits half = [](const Json& candidate) {
    const double x = candidate["scale"].get<double>();
    return x > 1 ? std::vector<double>{} : std::vector{x, x};
  };
  for (const char* algorithm : {"random", "cma_es", "nsga2"}) {
    INFO(algorithm);
    const auto search = make(space(algorithm, 40, {{"scale", {0, 2}}}));
    run_search(*search, half);
    CHECK(search->trials().size() == 40);
    CHECK(*search->trials()[search->best().value()].merit() <= 1);
    const auto without = make(space(algorithm, 40, {{"scale", {0, 2}}}));
    run_search(*without, partly);
    CHECK_FALSE(without->best());
  }
}

namespace {

// Scores of soups of three experts, by members.
Merits soups(const std::map<std::string, double>& scores) {
  return [scores](const Json& candidate) {
    const auto found = scores.find(canonical(candidate["weights"]));
    return found == scores.end() ? std::vector<double>{} : std::vector{found->second};
  };
}

std::vector<std::string> soups_of(const Search& search) {
  std::vector<std::string> soups;
  for (const Trial& trial : search.trials()) soups.push_back(canonical(trial.candidate["weights"]));
  return soups;
}

}  // namespace

TEST_CASE("greedy adds experts from the best on while the score grows", "[sweep][search]") {
  const Json json = {{"algorithm", "greedy"}, {"space", {{"weights", {0, 1}}}}};
  const auto search = make(json);
  // Ranking: second, third, first. With the third it gets worse, with the first better.
  run_search(*search, soups({{"[1.0,0.0,0.0]", 0.5},
                             {"[0.0,1.0,0.0]", 0.7},
                             {"[0.0,0.0,1.0]", 0.6},
                             {"[0.0,1.0,1.0]", 0.65},
                             {"[1.0,1.0,0.0]", 0.75}}));
  CHECK(soups_of(*search) == std::vector<std::string>{"[1.0,0.0,0.0]", "[0.0,1.0,0.0]",
                                                      "[0.0,0.0,1.0]", "[0.0,1.0,1.0]",
                                                      "[1.0,1.0,0.0]"});
  CHECK(search->best() == 4);
}

TEST_CASE("greedy accepts equal scores when it is told to", "[sweep][search]") {
  const Merits equal = soups({{"[1.0,0.0,0.0]", 0.5},
                              {"[0.0,1.0,0.0]", 0.5},
                              {"[0.0,0.0,1.0]", 0.4},
                              {"[1.0,1.0,0.0]", 0.5},
                              {"[1.0,1.0,1.0]", 0.45},
                              {"[1.0,0.0,1.0]", 0.45}});
  Json json = {{"algorithm", "greedy"}, {"space", {{"weights", {0, 1}}}}};
  const auto strict = make(json);
  run_search(*strict, equal);
  CHECK(strict->best() == 0);  // equal experts keep their order
  CHECK(soups_of(*strict).back() == "[1.0,0.0,1.0]");
  json["accept"] = "ge";
  const auto loose = make(json);
  run_search(*loose, equal);
  CHECK(loose->best() == 3);
  CHECK(soups_of(*loose).back() == "[1.0,1.0,1.0]");
}

TEST_CASE("greedy passes over what has no score", "[sweep][search]") {
  const Json json = {{"algorithm", "greedy"}, {"space", {{"weights", {0, 1}}}}};
  const auto search = make(json);
  run_search(*search, soups({{"[0.0,0.0,1.0]", 0.1}, {"[0.0,1.0,1.0]", 0.2}}));
  CHECK(soups_of(*search).size() == 5);
  CHECK(search->best() == 4);
  const auto nothing = make(json);
  run_search(*nothing, soups({}));
  CHECK_FALSE(nothing->best());
  CHECK(search_budget(read_spec(json), 3) == 5);
}

TEST_CASE("a list may have a number of entries of its own", "[sweep][search]") {
  const Json path = {{"weights", {{"range", {-1, 1}}, {"entries", 5}}}};
  const auto search = make(space("random", 3, path));
  const auto asked = search->ask();
  CHECK(asked.front() == Json{{"weights", {0., 0., 0., 0., 0.}}});  // the middle
  CHECK(asked.back()["weights"].size() == 5);
  CHECK(asked.back() != asked.front());
}

TEST_CASE("searches that make no sense are refused with their place", "[sweep][search]") {
  const Json scale = {{"scale", {0, 1}}};
  const auto refused = [](const Json& json, const auto& matcher,
                          const Json& fixed = Json::object()) {
    CHECK_THROWS_WITH(read_spec(json, fixed), Contains("row.search") && matcher);
  };
  refused(space("cmaes", 5, scale), Contains("'cmaes'") && Contains("Did you mean 'cma_es'?"));
  refused(space("grid", 5, scale), Contains("algorithm") && Contains("tune"));
  refused(space("random", 5, {{"scael", {0, 1}}}), Contains("Did you mean 'scale'?"));
  refused(space("random", 5, scale), Contains("space.scale") && Contains("fixed"), {{"scale", 1}});
  refused(space("random", 5, {{"scale", {0, 3}}}),
          Contains("space.scale[1]") && Contains("[0, 2]"));
  refused(space("random", 5, {{"scale", {1, 0}}}), Contains("low < high"));
  refused(space("random", 5, {{"scale", {0, 1, 2}}}), Contains("[low, high]"));
  refused(space("random", 5, {{"rounds", {1, 2.5}}}), Contains("space.rounds[1]"));
  refused(space("random", 5, {{"scope", {"tensor", "modal"}}}), Contains("Did you mean 'model'?"));
  refused(space("random", 5, {{"scope", {"tensor"}}}), Contains("at least two"));
  refused(space("random", 5, {{"scope", {"tensor", "tensor"}}}), Contains("twice"));
  refused(space("random", 5, {{"strict", {0, 1}}}), Contains("space.strict[0]"));
  refused(space("random", 5, {{"weights", {{"range", {0, 1}}, {"entries", 0}}}}),
          Contains("space.weights.entries") && Contains("from 1 to"));
  refused(space("random", 5, {{"weights", {{"range", {0, 1}}, {"entry", 2}}}}),
          Contains("entries"));
  refused({{"algorithm", "greedy"}, {"space", {{"weights", {{"range", {0, 1}}, {"entries", 2}}}}}},
          Contains("per expert"));
  refused(space("random", 1, scale), Contains("budget") && Contains("at least 2"));
  refused(space("random", 5, Json::object()), Contains("at least one parameter"));
  refused({{"algorithm", "random"}, {"space", scale}}, Contains("budget"));
  refused(space("greedy", 5, {{"weights", {0, 1}}}), Contains("budget"));
  refused({{"algorithm", "greedy"}, {"space", scale}}, Contains("list of a number per expert"));
  Json other = space("random", 5, scale);
  other["accept"] = "ge";
  refused(other, Contains("accept") && Contains("greedy"));
  other = space("random", 5, scale);
  other["layer_group"] = {"first"};
  refused(other, Contains("layer_group"));
}
