#include "reports/summary.h"

#include <algorithm>

#include "tests/catch.h"
#include "tests/reports/fake_results.h"

using namespace assay;

namespace {

// A row with eight items of task a, of which `right` are right, and the average's other tasks.
void add_row(SweepResults& results, const std::string& name, const std::vector<float>& outcomes) {
  auto& run = fake::add_average(results, "k-" + name, {"s", name, "default"}).run;
  run.method = name;
  double sum = 0;
  for (const float outcome : outcomes) sum += outcome;
  run.scores[0].outcomes = outcomes;
  run.scores[0].value = sum / static_cast<double>(outcomes.size());
}

bool says(const std::vector<std::string>& sentences, const std::string& part) {
  return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& sentence) {
    return sentence.find(part) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("The summary names the best, what is tied with it, and what is below", "[reports]") {
  SweepResults results = fake::results();
  add_row(results, "good", {1, 1, 1, 1});  // held-in 87.5
  add_row(results, "near", {1, 1, 1, 0});  // one item of difference
  add_row(results, "bad", {0, 0, 0, 0});   // all items worse

  const auto sentences = summary(results, make_leaderboard(results));

  CHECK(says(sentences, "Best merging row by held-in acc: good (default), 87.5"));
  CHECK(says(sentences, "cannot tell them apart: near (default)"));
  CHECK(says(sentences, "Clearly below it by that test: 1 other row."));
  CHECK(says(sentences, "All 7 runs have a result."));
  CHECK_FALSE(says(sentences, "Tuning"));
}

TEST_CASE("The summary names rows below the base; less is better for perplexity", "[reports]") {
  SweepResults results = fake::results();
  results.runs[0].run.scores[2].outcomes = {1, 1, 1, 1};  // the base on the held-out task c
  results.runs[0].run.scores[2].value = 1;
  results.runs[3].run.scores[2].outcomes = {0, 0, 0, 0};
  results.runs[3].run.scores[2].value = 0;
  CHECK(says(summary(results, make_leaderboard(results)),
             "Below the base on held-out tasks: average (default)"));

  for (auto& placed : results.runs)
    for (ScoreRecord& score : placed.run.scores) score.metric = "perplexity";
  CHECK(says(summary(results, make_leaderboard(results)),
             "No merging row is clearly below the base on held-out tasks."));
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
  CHECK(says(sentences, "compare them with care: other (default)."));
}

TEST_CASE("A sweep without a merge says that there is none to rank", "[reports]") {
  SweepResults results = fake::results();
  results.runs.pop_back();

  CHECK(says(summary(results, make_leaderboard(results)), "No merging row has a held-in score."));
}
