// Reports of sweeps whose held-in tasks have accuracies and perplexities.
#include <algorithm>
#include <cmath>

#include "reports/internal/summary.h"
#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

namespace {

// Of tasks a, b and c of a run; b is a text of four equal items.
void set_scores(RunRecord& run, const std::vector<double>& a, double b_perplexity) {
  double sum = 0;
  for (const double outcome : a) sum += outcome;
  run.scores[0].outcomes = {a.begin(), a.end()};
  run.scores[0].value = sum / static_cast<double>(a.size());
  run.scores[1].metric = "perplexity";
  run.scores[1].value = b_perplexity;
  run.scores[1].outcomes.assign(4, static_cast<float>(b_perplexity));
}

/// The sets and rows of fake::results(), and one more merge:
///              a, acc   b, perplexity   of the own expert        c, acc
///   base       1/4      4               (0.25 + 0.5) / 2         2/4
///   expert e1  4/4      5               (1 + 0.4) / 2            2/4
///   expert e2  0/4      2               (0 + 1) / 2              2/4
///   average    2/4      2.5             (0.5 + 0.8) / 2          3/4
///   accurate   3/4      4               (0.75 + 0.5) / 2         3/4
SweepResults mixed_results() {
  SweepResults results = fake::results();
  fake::add_average(results, "k-accurate", {"s", "accurate", "default"}).run.method = "other";
  set_scores(results.runs[0].run, {1, 0, 0, 0}, 4);
  set_scores(results.runs[1].run, {1, 1, 1, 1}, 5);
  set_scores(results.runs[2].run, {0, 0, 0, 0}, 2);
  set_scores(results.runs[3].run, {1, 1, 0, 0}, 2.5);
  set_scores(results.runs[4].run, {1, 1, 1, 0}, 4);
  return results;
}

std::vector<std::string> titles(const Table& table) {
  std::vector<std::string> all;
  for (const Column& column : table.columns) all.push_back(column.title);
  return all;
}

const std::vector<TableCell>& cells_of(const Table& table, const std::string& name) {
  for (const RowGroup& group : table.groups)
    for (const auto& cells : group.rows)
      if (cells.front().text == name) return cells;
  throw std::runtime_error("no row " + name);
}

}  // namespace

TEST_CASE("Rows with scores of different kinds are ranked by the mean of relative scores",
          "[reports]") {
  const Leaderboard board = make_leaderboard(mixed_results());

  CHECK(board.metrics == std::vector<std::string>{"relative_score", "acc", "perplexity"});
  const auto relative = [&](const std::string& label) {
    return board_row(board, label).scores.at(kRelativeScore);
  };
  CHECK(*relative("average (default)").held_in.value == Approx(0.65));
  CHECK(*relative("accurate (default)").held_in.value == Approx(0.625));
  CHECK(*relative("base").held_in.value == Approx(0.375));
  CHECK(*relative("expert e1").held_in.value == Approx(0.7));
  CHECK(*relative("average (default)").held_out.value == Approx(1.5));
  CHECK(board.rows.at(0).name == "average");  // by accuracy alone it is the second
  CHECK(board.best == "average (default)");
  CHECK(*board_row(board, "accurate (default)").scores.at("acc").held_in.value == Approx(0.75));
  CHECK(*board_row(board, "average (default)").scores.at("perplexity").held_in.value ==
        Approx(2.5));
}

TEST_CASE("Scores of one kind, and kinds of held-out tasks, change no ranking", "[reports]") {
  SweepResults results = fake::results();
  CHECK(make_leaderboard(results).metrics == std::vector<std::string>{"acc"});
  for (auto& placed : results.runs) placed.run.scores[1].metric = "acc_norm";
  CHECK(make_leaderboard(results).metrics == std::vector<std::string>{"acc", "acc_norm"});
  results = fake::results();
  for (auto& placed : results.runs) placed.run.scores[2].metric = "perplexity";
  CHECK(make_leaderboard(results).metrics == std::vector<std::string>{"acc", "perplexity"});
  CHECK(leaderboard_tables(make_leaderboard(results)).size() == 2);
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  CHECK_FALSE(report.contains("primary_metrics"));
}

TEST_CASE("Kinds of several sets are mixed, too", "[reports]") {
  SweepResults results = mixed_results();
  results.sweep.sets[0].tasks = {{"a", true, "h1"}, {"c", false, ""}};
  results.sweep.sets.push_back({"t", {"h1", "h2"}, {{"b", true, "h2"}, {"c", false, ""}}});
  for (size_t i = 0; i < 5; ++i) {
    auto placed = results.runs[i];
    placed.placement.set = "t";
    placed.run.key += "-t";
    results.runs.push_back(placed);
  }

  const Leaderboard board = make_leaderboard(results);

  CHECK(board.has_mixed_kinds());
  // The mean over sets: 0.5 of e1 in s, 0.8 of e2 in t.
  CHECK(*board_row(board, "average (default)").scores.at(kRelativeScore).held_in.value ==
        Approx(0.65));
}

TEST_CASE("The leaderboard of mixed kinds has each task's primary score and its direction",
          "[reports]") {
  const auto tables = leaderboard_tables(make_leaderboard(mixed_results()));

  REQUIRE(tables.size() == 1);
  const Table& table = tables.front();
  CHECK(titles(table) == std::vector<std::string>{"Model", "Held-in ÷ expert", "over sets",
                                                  "a acc ↑", "b perplexity ↓", "c acc ↑, held-out",
                                                  "Held-out ÷ base", "Sets", "Merge time (s)",
                                                  "Tuning time"});
  const auto& average = cells_of(table, "average");
  CHECK(average[1].text.starts_with("65.0 ±"));
  CHECK(average[3].text == "50.0");
  CHECK(average[4].text == "2.500");
  CHECK(average[5].text == "75.0");
  CHECK(average[6].text.starts_with("150.0"));
  const auto& accurate = cells_of(table, "accurate");
  CHECK((average[1].best && average[4].best && !average[3].best));
  CHECK((accurate[3].best && !accurate[4].best && !accurate[1].best));
}

TEST_CASE("A task that is held-in in one set and held-out in another has two columns",
          "[reports]") {
  SweepResults results = mixed_results();
  results.sweep.sets.push_back(
      {"t", {"h2"}, {{"a", false, ""}, {"b", true, "h2"}, {"c", false, ""}}});
  auto& other = fake::add_average(results, "k-t", {"t", "average", "default"});
  set_scores(other.run, {1, 0, 0, 0}, 3.5);

  const Table table = leaderboard_tables(make_leaderboard(results)).front();

  const std::vector<std::string> all = titles(table);
  CHECK(std::vector<std::string>(all.begin() + 3, all.begin() + 7) ==
        std::vector<std::string>{"a acc ↑", "b perplexity ↓", "a acc ↑, held-out",
                                 "c acc ↑, held-out"});
  const auto& average = cells_of(table, "average");
  CHECK(average[3].text == "50.0");   // in s
  CHECK(average[4].text == "3.000");  // of 2.5 and 3.5
  CHECK(average[5].text == "25.0");   // in t
}

TEST_CASE("Paired comparisons of mixed kinds are of relative scores", "[reports]") {
  const Leaderboard board = make_leaderboard(mixed_results());

  const auto& comparisons = board_row(board, "accurate (default)").comparisons;
  REQUIRE(comparisons.size() == 1);
  CHECK(comparisons[0].against == "average (default)");
  const Estimate& held_in = comparisons[0].held_in;
  CHECK(*held_in.value == Approx(0.625 - 0.65));
  // One of four items of task a differs, of variance 1/4 and weight 1/2; b's items are all equal.
  CHECK(held_in.ci->high - held_in.ci->low == Approx(2 * 1.959964 * std::sqrt(0.25 / 4) / 2));
  CHECK(*comparisons[0].held_out.value == Approx(0.0).margin(1e-12));
  const auto sentences = summary(mixed_results(), board);
  CHECK(says(sentences,
             "by held-in relative_score (multiples of the own expert's scores): average "
             "(default), 65.0"));
  CHECK(says(sentences, "finds no difference: accurate (default)"));
}

TEST_CASE("A task without its own expert's score is left out of the mean and named", "[reports]") {
  SweepResults results = mixed_results();
  results.runs[2].run.scores.erase(results.runs[2].run.scores.begin() + 1);  // e2 on b
  results.runs[2].run.status = RunStatus::kFailed;

  const Leaderboard board = make_leaderboard(results);

  const RowScores& average = board_row(board, "average (default)").scores.at(kRelativeScore);
  CHECK(*average.held_in.value == Approx(0.5));
  CHECK(average.not_normalised == std::vector<std::string>{"s: b"});
}

TEST_CASE("Every format ranks mixed kinds alike", "[reports]") {
  const SweepResults results = mixed_results();
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  const std::string csv = render_report(results, ReportFormat::kCsv);
  const std::string markdown = render_report(results, ReportFormat::kMarkdown);
  const std::string html = render_report(results, ReportFormat::kHtml);
  const std::string text = leaderboard_text(results);

  CHECK(report["metrics"][0] == "relative_score");
  CHECK(report["units"]["relative_score"] == Json{{"fraction", true}, {"lower_is_better", false}});
  CHECK(report["primary_metrics"] == Json{{"a", "acc"}, {"b", "perplexity"}, {"c", "acc"}});
  CHECK(report["rows"][0]["label"] == "average (default)");
  const Json& average = json_row(report, "average (default)");
  CHECK(average["scores"]["relative_score"]["held_in"]["value"].get<double>() == Approx(0.65));
  CHECK(average["tasks"]["relative_score"][1]["value"].get<double>() == Approx(0.8));
  CHECK(report["pareto"].contains("relative_score"));

  CHECK(csv.find("\r\naverage,default,merge,average,,relative_score,1,1,1,1,0.65") !=
        std::string::npos);
  CHECK(csv.find("\r\naverage,") < csv.find("\r\naccurate,"));
  for (const std::string& page : {markdown, html, text}) {
    CHECK(page.find("b perplexity ↓") != std::string::npos);
    CHECK(page.find("Leaderboard: acc") == std::string::npos);
  }
  CHECK(markdown.find("\n## Leaderboard\n") != std::string::npos);
  CHECK(markdown.find("| average (default) | **65.0 ±") != std::string::npos);
}
