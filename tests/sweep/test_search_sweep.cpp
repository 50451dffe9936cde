/// Rows of sweeps that are searched. Cells get their scores from a function of their parameters.
#include <cmath>
#include <functional>
#include <set>

#include "harness/core/error.h"
#include "harness/sweep/estimate.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

using Score = std::function<double(const Cell& cell, size_t task)>;

/// Scores cells without running them; gives up after a number of them.
class Scripted : public Executor {
 public:
  explicit Scripted(Score score, int64_t cells = -1) : score_(std::move(score)), left_(cells) {}
  int threads() const override { return 1; }
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (left_-- == 0) throw std::runtime_error("interrupted");
      RunRecord record = empty_record(cells[i]);
      for (size_t task = 0; task < cells[i].tasks.size(); ++task) {
        const double value = score_(cells[i], task);
        if (value < 0) {
          record.status = RunStatus::kFailed;
          record.reason = "as asked";
          record.scores.clear();
          break;
        }
        record.scores.push_back(
            {cells[i].tasks[task].name, split_name(cells[i].split), "acc", true, value, {1}});
      }
      done(i, std::move(record));
    }
  }

 private:
  Score score_;
  int64_t left_;
};

/// Two experts on one task each, and rows to be searched.
class SearchSweep {
 public:
  explicit SearchSweep(const Json& methods) {
    home_.write_recipe(test::blob_recipe());
    ::setenv("ASSAY_MODELS_DIR", home_.models().c_str(), 1);
    json_ = {{"name", "searched"},
             {"recipe", "recipe.json"},
             {"base", "base"},
             {"tasks", {"blobs/a", "blobs/b"}},
             {"expert_sets", {{{"name", "both"}, {"experts", {"expert-a", "expert-b"}}}}},
             {"methods", methods}};
  }
  ~SearchSweep() { ::unsetenv("ASSAY_MODELS_DIR"); }

  Json& json() { return json_; }
  fs::path db() const { return home_.folder() / "r.sqlite"; }
  ResolvedSweep resolve(Missing missing = Missing::kTrain) const {
    write_file(home_.folder() / "sweep.json", json_.dump());
    return resolve_sweep(SweepFile::read(home_.folder() / "sweep.json"), {at::kCPU}, missing);
  }
  SweepSummary run(const Score& score, int64_t cells = -1) const {
    Scripted executor(score, cells);
    const ResolvedSweep sweep = resolve();
    Store store = Store::open(db());
    return run_sweep(sweep, plan_sweep(sweep), store, executor, current_environment("cpu", "test"));
  }
  SweepResults results() const { return Store::open_read_only(db()).load_sweep("searched"); }

 private:
  test::BlobHome home_;
  Json json_;
};

Json scale_search(const std::string& algorithm, int64_t budget) {
  const Json search = {
      {"algorithm", algorithm}, {"budget", budget}, {"space", {{"scale", {0, 2}}}}};
  const Json row = {{"method", "task_arithmetic"}, {"search", search}};
  return Json::array({row});
}

// The best scale is 1.3.
double concave(const Cell& cell, size_t) {
  const double x = cell.parameters.value("scale", 0.0) - 1.3;
  return 0.9 - 0.2 * x * x;
}

// Everything that a report sees of the searches and their runs.
std::multiset<std::string> outcome(const SweepResults& results) {
  std::multiset<std::string> lines;
  for (const auto& placed : results.runs)
    lines.insert(placed.placement.row + placed.placement.variant + placed.run.key);
  for (const SearchRecord& search : results.searches)
    for (size_t i = 0; i < search.steps.size(); ++i)
      lines.insert(fmt::format("{} {} {} {}", search.row, i, search.steps[i].key,
                               search.steps[i].merit.value_or(-1)));
  return lines;
}

std::vector<Json> tuned(const SweepResults& results) {
  std::vector<Json> parameters;
  for (const auto& placed : results.runs)
    if (placed.placement.variant == "tuned") parameters.push_back(placed.run.parameters);
  return parameters;
}

}  // namespace

TEST_CASE("a row is searched on validation and its winner alone is scored on test",
          "[sweep][search][train]") {
  const SearchSweep sweep(scale_search("cma_es", 30));
  sweep.run(concave);

  const SweepResults results = sweep.results();
  REQUIRE(results.searches.size() == 1);
  const SearchRecord& search = results.searches.front();
  CHECK((search.set == "both" && search.row == "task_arithmetic"));
  CHECK((search.algorithm == "cma_es" && search.budget == 30));
  CHECK(search.steps.size() == 30);
  REQUIRE(tuned(results).size() == 1);
  const double winner = tuned(results).front()["scale"].get<double>();
  CHECK(std::abs(winner - 1.3) < 0.1);
  for (const auto& placed : results.runs) {
    if (placed.placement.row != "task_arithmetic") continue;
    CHECK(placed.run.split == (placed.placement.variant == "grid" ? "validation" : "test"));
    for (const SearchRecord::Step& step : search.steps)
      if (step.key == placed.run.key) {
        const double x = placed.run.parameters["scale"].get<double>() - 1.3;
        CHECK(*step.merit == Approx(0.9 - 0.2 * x * x));
        CHECK(*step.merit <= 0.9 - 0.2 * (winner - 1.3) * (winner - 1.3));
      }
  }
  CHECK_FALSE(results.finished_at.empty());
}

TEST_CASE("an interrupted search ends as an undisturbed one, and is not run again",
          "[sweep][search][train]") {
  const SearchSweep sweep(scale_search("cma_es", 24));
  sweep.run(concave);
  const auto undisturbed = outcome(sweep.results());

  for (const int64_t cells : {0, 3, 12, 20, 29}) {
    INFO(cells);
    fs::remove(sweep.db());
    CHECK_THROWS_WITH(sweep.run(concave, cells), "interrupted");
    CHECK(sweep.results().finished_at.empty());
    sweep.run(concave);
    CHECK(outcome(sweep.results()) == undisturbed);
  }
  CHECK(sweep.run(concave).ran == 0);
  CHECK(outcome(sweep.results()) == undisturbed);
}

TEST_CASE("failed candidates count as worst and are tried again", "[sweep][search][train]") {
  const SearchSweep sweep(scale_search("random", 12));
  const Score failing = [](const Cell& cell, size_t task) {
    return cell.parameters.value("scale", 0.0) > 1 ? -1 : concave(cell, task);
  };
  const SweepSummary first = sweep.run(failing);
  CHECK(first.failed > 0);
  CHECK(tuned(sweep.results()).front()["scale"] <= 1);
  CHECK(sweep.results().searches.front().steps.size() == 12);

  const SweepSummary second = sweep.run(concave);
  CHECK(second.failed == 0);
  CHECK(tuned(sweep.results()).size() == 1);
  CHECK(tuned(sweep.results()).front()["scale"] > 1);
}

TEST_CASE("a greedy soup is searched without being asked", "[sweep][search][train]") {
  const SearchSweep sweep(Json::array({"greedy_soup"}));
  // The second expert is the better one; both together are better still.
  const Score score = [](const Cell& cell, size_t) {
    if (cell.kind != CellKind::kMerge) return 0.5;
    const Json& members = cell.parameters["members"];
    return members == Json{1, 1} ? 0.8 : members == Json{0, 1} ? 0.7 : 0.6;
  };
  sweep.run(score);

  const SweepResults results = sweep.results();
  CHECK(tuned(results) == std::vector<Json>{{{"members", {1, 1}}}});
  REQUIRE(results.searches.size() == 1);
  CHECK(results.searches.front().algorithm == "greedy");
  std::vector<double> merits;
  for (const SearchRecord::Step& step : results.searches.front().steps)
    merits.push_back(step.merit.value());
  CHECK(merits == std::vector{0.6, 0.7, 0.8});
  for (const auto& placed : results.runs) CHECK(placed.placement.variant != "default");
}

TEST_CASE("parameters that cannot be used together are a worst candidate, too",
          "[sweep][search][train]") {
  const Json search = {{"algorithm", "random"}, {"budget", 4}, {"space", {{"members", {0, 1}}}}};
  const Json row = {{"method", "greedy_soup"}, {"search", search}};
  const SearchSweep sweep(Json::array({row}));
  sweep.run([](const Cell&, size_t) { return 0.5; });  // members are fractions

  const SweepResults results = sweep.results();
  CHECK(tuned(results).empty());
  REQUIRE(results.searches.size() == 1);
  CHECK(results.searches.front().steps.size() == 4);
  for (const SearchRecord::Step& step : results.searches.front().steps) {
    CHECK(step.key.empty());
    CHECK_FALSE(step.merit);
  }
}

TEST_CASE("a search is planned by its budget", "[sweep][search]") {
  SearchSweep sweep(scale_search("nsga2", 20));
  {
    const ResolvedSweep resolved = sweep.resolve(Missing::kLeave);
    const SweepEstimate estimate = estimate_sweep(resolved, plan_sweep(resolved), nullptr);
    int64_t cells = 0;
    for (const RowEstimate& row : estimate.rows)
      if (row.placement.variant == "search") cells += row.cells;
    CHECK(cells == 20);
  }
  SECTION("which counts as cells") {
    sweep.json()["methods"] = scale_search("random", 1'000'000);
    CHECK_THROWS_WITH(sweep.resolve(Missing::kLeave), Contains("100000 is the most"));
  }
  SECTION("nsga2 weighs several tasks") {
    sweep.json()["expert_sets"][0]["experts"] = {"expert-a"};
    CHECK_THROWS_WITH(sweep.resolve(Missing::kLeave),
                      Contains("nsga2") && Contains("'both'") && Contains("cma_es"));
  }
  SECTION("a row has a grid or a search") {
    sweep.json()["methods"][0]["tune"] = true;
    CHECK_THROWS_WITH(sweep.resolve(Missing::kLeave),
                      Contains("methods[0].search") && Contains("not both"));
  }
}
