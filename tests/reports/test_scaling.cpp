// Scores by family of tasks, number of experts and base, and what experts were trained on.
#include "reports/internal/scaling.h"
#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// The cells of the row of a view, its name first; empty without the view.
std::vector<std::string> row_of(const SweepResults& results, const std::string& view,
                                const std::string& name) {
  for (const HeatMap& map : heat_maps(make_leaderboard(results)))
    if (map.view == view)
      for (const auto& row : map.table.groups.at(0).rows)
        if (full_text(row.at(0)) == name) {
          std::vector<std::string> cells;
          for (const TableCell& cell : row) cells.push_back(cell.text);
          return cells;
        }
  return {};
}

}  // namespace

TEST_CASE("a report has the means of families of tasks, held-in and held-out", "[reports]") {
  SweepResults results = fake::results();
  CHECK(row_of(results, "by family of tasks", "average (default)").empty());  // one family: none

  results.tasks[0].definition["family"] = "one";
  results.tasks[2].definition["family"] = "one";
  // Of a 2/4 is held-in and of c 3/4 held-out; b, of no family, has 3/4.
  const std::vector<std::string> cells = row_of(results, "by family of tasks", "average (default)");
  REQUIRE(cells.size() == 5);
  CHECK(cells[1] == "75.0");
  CHECK(cells[2] == "–");
  CHECK(cells[3] == "50.0");
  CHECK(cells[4] == "75.0");
  CHECK_THAT(render_report(results, ReportFormat::kMarkdown),
             Contains("acc, by family of tasks") && Contains("| one, held-in | one, held-out |"));
}

TEST_CASE("a report has the means of sets of one size and of one base", "[reports]") {
  SweepResults results = fake::results();
  results.sweep.config = {{"base", "small"},
                          {"expert_sets", {{{"name", "s"}}, {{"name", "t"}, {"base", "large"}}}}};
  results.sweep.sets.push_back({"t", {"h1"}, {{"a", true, "h1"}, {"b", false, ""}}});
  results.runs.push_back(
      {{"t", "average", "default"},
       fake::run("k-t", "merge", {"h1"}, {{"a", {1, 1, 1, 1}}, {"b", {1, 0, 0, 0}}}),
       0});
  using Cells = std::vector<std::string>;
  // In the set s, of two experts, a has 2/4 and b 3/4, both held in, and c 3/4.
  const Cells by_size = row_of(results, "by number of experts", "average (default)");
  REQUIRE(by_size.size() == 5);
  CHECK(Cells(by_size.begin() + 1, by_size.end()) == Cells{"100.0", "25.0", "62.5", "75.0"});
  const Cells by_base = row_of(results, "by base", "average (default)");
  REQUIRE(by_base.size() == 5);
  CHECK(Cells(by_base.begin() + 1, by_base.end()) == Cells{"100.0", "25.0", "62.5", "75.0"});

  const Json scaling = Json::parse(render_report(results, ReportFormat::kJson)).at("scaling");
  REQUIRE(scaling.size() == 2);
  CHECK(scaling[0]["axis"] == "experts");
  CHECK(scaling[0]["values"][0] == Json{{"label", "1 expert"}, {"x", 1.0}, {"sets", {"t"}}});
  const Json& average = scaling[0]["rows"]["acc"][0];
  CHECK(average["label"] == "average (default)");
  CHECK(average["held_in"] ==
        Json{{{"value", 1.0}, {"text", "100.0"}}, {{"value", 0.625}, {"text", "62.5"}}});
  const Json& base = scaling[1]["rows"]["acc"][1];
  CHECK(base["label"] == "base");
  CHECK(base["held_in"] == Json{nullptr, {{"value", 0.25}, {"text", "25.0"}}});  // no run in t
}

TEST_CASE("sets of 2, 4 and 10 experts are in this order, and models by their size", "[reports]") {
  SweepResults results = fake::results();
  const auto add_set = [&](const std::string& name, size_t experts, int64_t parameters) {
    results.sweep.sets.push_back(
        {name, std::vector<std::string>(experts, "h1"), {{"a", true, "h1"}}});
    results.runs.push_back({{name, "average", "default"},
                            fake::run("k-" + name, "merge", {"h1"}, {{"a", {1, 1, 1, 0}}}),
                            0});
    auto base = fake::run("base-" + name, "base", {"h0"}, {{"a", {1, 0, 0, 0}}});
    base.diagnostics["size"] = {{"parameters", parameters}, {"active", 1}, {"bytes", 4}};
    results.runs.push_back({{name, "base", "reference"}, base, 0});
  };
  add_set("ten", 10, 2'000'000);
  add_set("four", 4, 600'000);

  const std::vector<ScalingAxis> axes = scaling_axes(make_leaderboard(results));
  const auto labels = [&](size_t axis) {
    std::vector<std::string> all;
    for (const auto& value : axes.at(axis).values) all.push_back(value.label);
    return all;
  };
  REQUIRE(axes.size() == 2);
  CHECK(labels(0) == std::vector<std::string>{"2 experts", "4 experts", "10 experts"});
  CHECK(labels(1) == std::vector<std::string>{"600 k parameters", "2.00 M parameters"});
  CHECK(axes[1].values[0].sets == std::vector<std::string>{"four"});
}

TEST_CASE("a report says on how many items and tokens a checkpoint was trained", "[reports]") {
  SweepResults results = fake::results();
  results.checkpoints[1].origin = {{"examples", {{"a", 30}, {"b", 12}}}, {"tokens", 4096}};
  CHECK_THAT(render_report(results, ReportFormat::kMarkdown),
             Contains("| Items of data | Tokens |") && Contains("| 42 | 4096 |"));
}
