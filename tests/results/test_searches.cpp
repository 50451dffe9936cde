#include "reports/report.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;

namespace {

/// The fake results with a tuned row, whose search scored two candidates; a third could not be
/// merged. On tasks a, b and c the first has (1/2, 3/4, 3/4), the second (1, 0, 3/4).
SweepResults searched() {
  SweepResults results = fake::results();
  fake::add_average(results, "k-tuned", {"s", "average", "tuned"});
  for (const char* key : {"k-one", "k-two"}) {
    auto& placed = fake::add_average(results, key, {"s", "average", "grid"});
    placed.run.split = "validation";
    for (ScoreRecord& score : placed.run.scores) score.split = "validation";
  }
  results.runs.back().run.scores[0].value = 1;
  results.runs.back().run.scores[1].value = 0;
  results.searches = {
      {"s", "average", 7, "nsga2", 5, 3, {{"k-one", 0.75}, {"", {}}, {"k-two", 0.5}}}};
  return results;
}

}  // namespace

TEST_CASE("A search is read back step by step, and replaced by a later state", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  fill_store(path, searched());
  Store store = Store::open(path);

  const auto read = store.load_sweep("").searches;
  REQUIRE(read.size() == 1);
  CHECK((read[0].set == "s" && read[0].row == "average" && read[0].algorithm == "nsga2"));
  CHECK((read[0].seed == 7 && read[0].budget == 5 && read[0].search_seed == 3));
  REQUIRE(read[0].steps.size() == 3);
  CHECK((read[0].steps[0].key == "k-one" && read[0].steps[0].merit == 0.75));
  CHECK((read[0].steps[1].key.empty() && !read[0].steps[1].merit));

  const int64_t sweep = store.put_sweep(searched().sweep);
  SearchRecord later = searched().searches[0];
  later.steps.resize(1);
  store.put_search(sweep, later);
  REQUIRE(store.load_sweep("").searches.size() == 1);
  CHECK(store.load_sweep("").searches[0].steps.size() == 1);

  // A run that is no longer of the row takes the search with it.
  store.narrow_sweep(sweep, {{"k-tuned", {"s", "average", "tuned"}}});
  CHECK(store.load_sweep("").searches.empty());
}

TEST_CASE("Reports have the best so far and the Pareto front of a search", "[reports]") {
  const Json report = Json::parse(render_report(searched(), ReportFormat::kJson));

  const Json& search = report.at("searches").at(0);
  CHECK(search.at("algorithm") == "nsga2");
  const Json& steps = search.at("steps");
  REQUIRE(steps.size() == 3);
  CHECK(steps[0].at("best") == 0.75);
  CHECK(steps[2].at("best") == 0.75);
  CHECK(steps[1].at("merit").is_null());
  CHECK(steps[2].at("scores") == Json{{"a", 1.0}, {"b", 0.0}, {"c", 0.75}});
  // Each is better on one task.
  CHECK(steps[0].at("on_front") == true);
  CHECK(steps[1].at("on_front") == false);
  CHECK(steps[2].at("on_front") == true);
  for (const Json& row : report.at("rows"))
    if (row.at("label") == "average (tuned)") CHECK(row.at("search") == "nsga2");
}
