#include "reports/internal/leaderboard.h"

#include <cmath>

#include "reports/internal/tables.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

TEST_CASE("Raw and normalised means of the tiny sweep", "[reports]") {
  const Leaderboard board = make_leaderboard(fake::results());

  CHECK(board.primary() == "acc");
  const RowScores& average = board_row(board, "average (default)").scores.at("acc");
  CHECK(*average.held_in.value == Approx((0.5 + 0.75) / 2));
  CHECK(*average.held_out.value == Approx(0.75));
  CHECK(*average.held_in_normalised.value == Approx((0.5 / 1 + 0.75 / 1) / 2));
  CHECK(*average.held_out_normalised.value == Approx(0.75 / 0.5));
  CHECK(average.not_normalised.empty());
  const RowScores& base = board_row(board, "base").scores.at("acc");
  CHECK(*base.held_in.value == Approx(0.25));
  CHECK(*base.held_out_normalised.value == Approx(1.0));
  CHECK(*board_row(board, "expert e1").scores.at("acc").held_in.value == Approx(0.5));
}

TEST_CASE("Where lower is better, a normalised value is the reference divided by the score",
          "[reports]") {
  SweepResults results = fake::results();
  for (auto& placed : results.runs)
    for (ScoreRecord& score : placed.run.scores) score.metric = "bits_per_byte";
  const RowScores& average =
      board_row(make_leaderboard(results), "average (default)").scores.at("bits_per_byte");
  CHECK(*average.held_in_normalised.value == Approx((1 / 0.5 + 1 / 0.75) / 2));
  CHECK(*average.held_out_normalised.value == Approx(0.5 / 0.75));

  auto& better = fake::add_average(results, "k-better", {"s", "better", "default"});
  better.run.scores[0].value = 0.25;  // task a: 400 % of its expert
  const auto rows = leaderboard_table(make_leaderboard(results), "bits_per_byte").groups.at(0).rows;
  REQUIRE(rows.at(0).at(0).text == "better");
  CHECK((rows[0][1].best && !rows[1][1].best));  // the least held-in mean
  CHECK((rows[0][5].best && !rows[1][5].best));  // the most of the experts'
}

TEST_CASE("Merges come first, the best of them on top; then references, then experts",
          "[reports]") {
  SweepResults results = fake::results();
  auto& worse = fake::add_average(results, "k-worse", {"s", "worse", "default"});
  for (ScoreRecord& score : worse.run.scores) {
    score.value = 0;
    score.outcomes.assign(4, 0);
  }
  fake::add_average(results, "k-all", {"s", "multitask", "reference"}).run.kind =
      RunKind::kMultitask;

  std::vector<std::string> labels;
  for (const LeaderboardRow& r : make_leaderboard(results).rows) labels.push_back(r.label());

  CHECK(labels == std::vector<std::string>{"average (default)", "worse (default)", "multitask",
                                           "base", "expert e1", "expert e2"});
}

TEST_CASE("A denominator near zero gives no normalised value and is named", "[reports]") {
  SweepResults results = fake::results();
  ScoreRecord& score = results.runs[1].run.scores[0];  // e1 on its own task a
  score.value = 0;
  score.outcomes.assign(4, 0);

  const Leaderboard board = make_leaderboard(results);

  const RowScores& average = board_row(board, "average (default)").scores.at("acc");
  CHECK(*average.held_in_normalised.value == Approx(0.75));  // task b only
  CHECK(average.not_normalised == std::vector<std::string>{"s: a"});
  for (const TaskScore& t : board_row(board, "average (default)").tasks.at("acc"))
    CHECK(t.normalised.has_value() == (t.task != "a"));
}

TEST_CASE("A row with a failed set is an average over the others and is marked partial",
          "[reports]") {
  SweepResults results = fake::results();
  results.sweep.sets.push_back(results.sweep.sets[0]);
  results.sweep.sets[1].name = "t";
  auto& failed = fake::add_average(results, "k-failed", {"t", "average", "default"});
  failed.run.status = RunStatus::kFailed;
  failed.run.reason = "NaN in 'w'";
  failed.run.scores.clear();

  const LeaderboardRow average = board_row(make_leaderboard(results), "average (default)");

  CHECK(average.partial());
  CHECK(average.sets_used == 1);
  CHECK(average.sets_total == 2);
  CHECK(*average.scores.at("acc").held_in.value == Approx(0.625));
}

TEST_CASE("A single expert belongs to the sets that contain it", "[reports]") {
  SweepResults results = fake::results();
  results.sweep.sets.push_back({"t", {"h2"}, results.sweep.sets[0].tasks});

  const Leaderboard board = make_leaderboard(results);

  CHECK_FALSE(board_row(board, "expert e1").partial());
  CHECK(board_row(board, "expert e2").partial());  // its run in set t is missing
}

TEST_CASE("A run that failed on one task shows the scores of the others, and no mean",
          "[reports]") {
  SweepResults results = fake::results();
  results.runs[3].run.scores.pop_back();
  results.runs[3].run.status = RunStatus::kFailed;

  const LeaderboardRow average = board_row(make_leaderboard(results), "average (default)");

  CHECK(average.sets_used == 0);
  CHECK(average.partial());
  CHECK_FALSE(average.scores.at("acc").held_in.value);
  const std::vector<TaskScore>& tasks = average.tasks.at("acc");
  REQUIRE(tasks.size() == 2);
  CHECK((tasks[0].task == "a" && tasks[0].value == 0.5));
  CHECK((tasks[1].task == "b" && tasks[1].value == 0.75));
}

TEST_CASE("A base that failed on one task is the others' reference", "[reports]") {
  SweepResults results = fake::results();
  results.runs[0].run.status = RunStatus::kFailed;

  const Leaderboard board = make_leaderboard(results);

  const RowScores& average = board_row(board, "average (default)").scores.at("acc");
  CHECK(*average.held_out_normalised.value == Approx(1.5));  // task c: 3/4 divided by 2/4
}

TEST_CASE("Merges have paired comparisons with the best and with the simple average", "[reports]") {
  SweepResults results = fake::results();
  auto& better = fake::add_average(results, "k-better", {"s", "better", "default"});
  better.run.method = "other";
  better.run.scores[0].value = 1;
  better.run.scores[0].outcomes = {1, 1, 1, 1};  // task a: {0, 0, 1, 1} more than the average

  const Leaderboard board = make_leaderboard(results);

  const auto& comparisons = board_row(board, "average (default)").comparisons;
  REQUIRE(comparisons.size() == 1);
  CHECK(comparisons[0].against == "better (default)");
  CHECK(*comparisons[0].held_in.value == Approx(-0.25));
  CHECK(comparisons[0].held_in.ci->high - comparisons[0].held_in.ci->low ==
        Approx(2 * 1.959964 * std::sqrt(1.0 / 3 / 4) / 2));
  CHECK(*comparisons[0].held_out.value == Approx(0.0));
  REQUIRE(board_row(board, "better (default)").comparisons.size() == 1);
  CHECK(board_row(board, "better (default)").comparisons[0].against == "average (default)");
}

TEST_CASE("A baseline is a row's label, or its name where only one row has it", "[reports]") {
  SweepResults results = fake::results();
  fake::add_average(results, "k-tuned", {"s", "average", "tuned"});

  const Leaderboard board = make_leaderboard(results, {.baseline = "expert e1"});
  const auto& comparisons = board_row(board, "average (tuned)").comparisons;
  CHECK(comparisons.back().against == "expert e1");
  CHECK(*comparisons.back().held_in.value == Approx(0.625 - 0.5));
  CHECK_THROWS_WITH(make_leaderboard(results, {.baseline = "average"}),
                    Catch::Matchers::Contains("average (tuned)"));
  CHECK_THROWS_WITH(make_leaderboard(results, {.baseline = "bas"}),
                    Catch::Matchers::Contains("base"));
}

TEST_CASE("A tuned number at an edge of its grid is marked, unless the method's range ends there",
          "[reports]") {
  SweepResults results = fake::results();
  results.methods[0].parameters = {{{"name", "scale"}, {"range", {0.0, nullptr}}},
                                   {{"name", "density"}, {"range", {0.0, 1.0}}}};
  auto& tuned = fake::add_average(results, "k-tuned", {"s", "average", "tuned"}).run.parameters;
  tuned = {{"scale", 1.5}, {"density", 1.0}};
  for (const double step : {0.5, 1.0})
    fake::add_average(results, fmt::format("k-grid{}", step), {"s", "average", "grid"})
        .run.parameters = {{"scale", step + 0.5}, {"density", step}};

  const Leaderboard board = make_leaderboard(results);

  const Configuration& chosen = board_row(board, "average (tuned)").configurations.at(0);
  CHECK(chosen.on_edge == std::vector<std::string>{"scale"});
}

TEST_CASE("Merge cost is statistics and merge; tuning sums the grid; unknown stays unknown",
          "[reports]") {
  SweepResults results = fake::results();
  fake::add_average(results, "k-average", {"s", "average", "tuned"});
  for (const double scale : {0.5, 1.0}) {
    auto& grid =
        fake::add_average(results, fmt::format("k-grid{}", scale), {"s", "average", "grid"});
    grid.run.split = "validation";
    grid.run.parameters["scale"] = scale;
  }

  const Leaderboard board = make_leaderboard(results);

  const LeaderboardRow& tuned = board_row(board, "average (tuned)");
  CHECK(*tuned.costs.merge[0] == Approx(2.0));
  CHECK(*tuned.costs.statistics[0] == Approx(0.5));
  CHECK(*tuned.costs.tuning[0] == Approx(2 * 5.0));
  CHECK(*tuned.costs.total[0] == Approx(12.0));
  CHECK(*tuned.costs.evaluation[0] == Approx(3.0));
  CHECK(tuned.grid_points == 2);
  CHECK(tuned.tuned_parameters == std::vector<std::string>{"scale"});
  CHECK(tuned.configurations.at(0).notable == Json{{"scale", 1.0}});
  CHECK_FALSE(tuned.costs.merge[2]);  // device time was not measured
  const LeaderboardRow& plain = board_row(board, "average (default)");
  CHECK_FALSE(plain.costs.tuned);
  CHECK_FALSE(plain.costs.tuning[0]);
  CHECK(*plain.costs.total[0] == Approx(2.0));
  CHECK(plain.configurations.at(0).notable.empty());  // 1.0 is the default
}

TEST_CASE("A sweep without a single result still gives a leaderboard", "[reports]") {
  SweepResults results = fake::results();
  for (auto& placed : results.runs) {
    placed.run.status = RunStatus::kFailed;
    placed.run.reason = "broken";
    placed.run.scores.clear();
    placed.run.costs.clear();
  }

  const Leaderboard board = make_leaderboard(results);

  CHECK(board.rows.size() == 4);
  for (const LeaderboardRow& r : board.rows) CHECK(r.sets_used == 0);
}
