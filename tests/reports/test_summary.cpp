#include "reports/internal/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

namespace {

// A row with eight items of task a, of which `right` are right, and the average's other tasks.
void add_row(SweepResults& results, const std::string& name, const std::vector<double>& outcomes) {
  auto& run = fake::add_average(results, "k-" + name, {"s", name, "default"}).run;
  run.method = name;
  double sum = 0;
  for (const float outcome : outcomes) sum += outcome;
  run.scores[0].outcomes = outcomes;
  run.scores[0].value = sum / static_cast<double>(outcomes.size());
}

}  // namespace

TEST_CASE("The summary names the best, what is tied with it, and what is worse", "[reports]") {
  SweepResults results = fake::results();
  add_row(results, "good", {1, 1, 1, 1});  // held-in 87.5
  add_row(results, "near", {1, 1, 1, 0});  // differs in one item
  add_row(results, "bad", {0, 0, 0, 0});   // all items worse

  const auto sentences = summary(results, make_leaderboard(results));

  CHECK(says(sentences, "Best merging row by held-in acc: good (default), 87.5"));
  CHECK(says(sentences, "finds no difference: near (default)"));
  CHECK(says(sentences, "Significantly worse by that test: 1 other row."));
  CHECK(says(sentences, "All 7 runs have a result."));
  CHECK_FALSE(says(sentences, "Tuning"));
}

TEST_CASE("The summary names rows worse than the base; lower is better for perplexity",
          "[reports]") {
  SweepResults results = fake::results();
  results.runs[0].run.scores[2].outcomes = {1, 1, 1, 1};  // the base on the held-out task c
  results.runs[0].run.scores[2].value = 1;
  results.runs[3].run.scores[2].outcomes = {0, 0, 0, 0};
  results.runs[3].run.scores[2].value = 0;
  CHECK(says(summary(results, make_leaderboard(results)),
             "Worse than the base on held-out tasks: average (default)"));

  for (auto& placed : results.runs)
    for (ScoreRecord& score : placed.run.scores) score.metric = "perplexity";
  CHECK(says(summary(results, make_leaderboard(results)),
             "No merging row is significantly worse than the base on held-out tasks."));
}

TEST_CASE("The summary counts failures, skips and what tuning cost", "[reports]") {
  SweepResults results = fake::results();
  fake::add_average(results, "k-tuned", {"s", "average", "tuned"});
  auto& grid = fake::add_average(results, "k-grid", {"s", "average", "grid"});
  grid.run.split = "validation";
  auto& failed = fake::add_average(results, "k-failed", {"s", "other", "default"});
  failed.run.status = RunStatus::kFailed;
  failed.run.scores.clear();

  const auto sentences = summary(results, make_leaderboard(results));

  CHECK(says(sentences, "Tuning average (tuned) took 5.00 s per expert set."));
  CHECK(says(sentences, "Of 7 runs 1 failed and 0 were skipped."));
  CHECK(says(sentences, "not directly comparable: other (default)."));
}

TEST_CASE("The summary of an unfinished sweep starts with a note", "[reports]") {
  SweepResults results = fake::results();
  CHECK_FALSE(says(summary(results, make_leaderboard(results)), "not finished"));

  results.finished_at.clear();
  const auto sentences = summary(results, make_leaderboard(results));

  CHECK(sentences.front().starts_with("The sweep is not finished: rows may be missing"));
  CHECK(says(sentences, "All 4 results so far"));
  CHECK_FALSE(says(sentences, "All 4 runs"));
}

TEST_CASE("A run with several placements is one result", "[reports]") {
  SweepResults results = fake::results();
  results.runs.push_back(results.runs[1]);
  results.runs.back().placement = {"s", "best expert", "reference"};

  CHECK(says(summary(results, make_leaderboard(results)), "All 4 runs have a result."));
  CHECK(render_report(results, ReportFormat::kMarkdown).find("4 runs, 0 without") !=
        std::string::npos);
}

TEST_CASE("Grid runs shared by two rows are counted once in the tuning time", "[reports]") {
  SweepResults results = fake::results();
  for (const char* row : {"one", "two"}) {
    fake::add_average(results, fmt::format("k-{}", row), {"s", row, "tuned"});
    for (const auto& key : {std::string("k-grid"), fmt::format("k-grid-{}", row)})
      fake::add_average(results, key, {"s", row, "grid"}).run.split = "validation";
  }

  // Three runs of 0.5 + 1.5 + 3 s, of which each row has two.
  CHECK(says(summary(results, make_leaderboard(results)),
             "Tuning 2 rows took 15.00 s per expert set, longest for one (tuned) (10.00 s); runs "
             "shared by several rows are counted once."));
}

TEST_CASE("Many rows worse than the base are counted when no other was tested", "[reports]") {
  SweepResults results = fake::results();
  for (const char* name : {"one", "two", "three"})
    fake::add_average(results, fmt::format("k-{}", name), {"s", name, "default"});
  for (auto& placed : results.runs) {
    const float outcome = placed.run.kind == RunKind::kBase ? 1 : 0;
    placed.run.scores[2].outcomes.assign(4, outcome);
    placed.run.scores[2].value = outcome;
  }

  CHECK(says(summary(results, make_leaderboard(results)),
             "Worse than the base on held-out tasks: all 4 merging rows tested."));
}

TEST_CASE("The summary of a sweep without a merge says so", "[reports]") {
  SweepResults results = fake::results();
  results.runs.pop_back();

  CHECK(says(summary(results, make_leaderboard(results)), "No merging row has a held-in score."));
}
