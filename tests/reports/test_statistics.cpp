#include "reports/internal/statistics.h"

#include <cmath>

#include "tests/catch.h"

using namespace assay;

namespace {

TaskTerm term(const std::string& task, std::vector<double> items) {
  double sum = 0;
  for (const double item : items) sum += item;
  return {task, sum / static_cast<double>(items.size()), std::move(items)};
}

double half_width(const Estimate& e) { return (e.ci->high - e.ci->low) / 2; }

}  // namespace

TEST_CASE("One run: the mean over tasks and the stratified standard error", "[reports]") {
  // Sample variances: task a of {1, 1, 0, 0}: 4 * 0.25 / 3 = 1/3; task b of {1, 0}: 0.5.
  const RowTerms row{{"s", {{term("a", {1, 1, 0, 0}), term("b", {1, 0})}}}};

  const Estimate e = estimate(row);

  CHECK(*e.value == Approx(0.5));
  const double error = std::sqrt((1.0 / 3) / 4 + 0.5 / 2) / 2;
  CHECK(half_width(e) == Approx(1.959964 * error));
  CHECK((e.ci->high + e.ci->low) / 2 == Approx(0.5));
  CHECK_FALSE(e.spread);  // of one run
}

TEST_CASE("Tasks have the same weight whatever their number of items", "[reports]") {
  const RowTerms row{{"s", {{term("a", {1, 1, 1, 1, 1, 1, 1, 1}), term("b", {0, 0})}}}};

  CHECK(*estimate(row).value == Approx(0.5));
}

TEST_CASE("Seeds are averaged within a set, then sets; the range is that of the runs",
          "[reports]") {
  const RowTerms row{{"s", {{term("a", {1, 1})}, {term("a", {1, 0})}}},
                     {"t", {{term("a", {0, 0})}}}};

  const Estimate e = estimate(row);

  CHECK(*e.value == Approx((0.75 + 0.0) / 2));
  CHECK(e.spread->low == Approx(0.0));
  CHECK(e.spread->high == Approx(1.0));
}

TEST_CASE("The same items in two sets are no new evidence", "[reports]") {
  const RowTerms once{{"s", {{term("a", {1, 1, 0, 0})}}}};
  const RowTerms twice{{"s", {{term("a", {1, 1, 0, 0})}}}, {"t", {{term("a", {1, 1, 0, 0})}}}};

  CHECK(half_width(estimate(twice)) == Approx(half_width(estimate(once))));
}

TEST_CASE("Nothing measured gives nothing, unknown items no interval", "[reports]") {
  CHECK_FALSE(estimate({}).value);
  const Estimate e = estimate({{"s", {{TaskTerm{"a", 0.25, {}}}}}});
  CHECK(*e.value == 0.25);
  CHECK_FALSE(e.ci);
  CHECK_FALSE(estimate({{"s", {{term("a", {1})}}}}).ci);  // one item: no variance
}

TEST_CASE("A difference is taken on the same items", "[reports]") {
  const RowTerms a{{"s", {{term("t", {1, 1, 1, 0})}}}};
  const RowTerms b{{"s", {{term("t", {1, 1, 0, 0})}}}};

  const Estimate e = difference(a, b);

  // Differences {0, 0, 1, 0}: mean 1/4, variance (3 / 16 + 9 / 16) / 3 = 1/4, error sqrt(1/4 / 4).
  CHECK(*e.value == Approx(0.25));
  CHECK(half_width(e) == Approx(1.959964 * 0.25));
  CHECK(half_width(difference(a, a)) == Approx(0.0));
}

TEST_CASE("A difference uses the common sets of both rows", "[reports]") {
  const RowTerms a{{"s", {{term("t", {1, 1})}}}, {"only a", {{term("t", {0, 0})}}}};
  const RowTerms b{{"s", {{term("t", {0, 0})}}}, {"only b", {{term("t", {1, 1})}}}};

  CHECK(*difference(a, b).value == Approx(1.0));
  CHECK_FALSE(difference(a, {{"other", {{term("t", {1, 1})}}}}).value);
}

TEST_CASE("A ratio to itself is exactly one, with an interval of no width", "[reports]") {
  const TaskTerm own = term("t", {1, 1, 1, 0});

  const Estimate e = estimate({{"s", {{ratio_term(own, own)}}}});

  CHECK(*e.value == Approx(1.0));
  CHECK(half_width(e) == Approx(0.0).margin(1e-12));
}

TEST_CASE("A ratio's interval follows the delta method", "[reports]") {
  // A = 1/2, B = 1, r = 1/2; (a_i - r b_i) / B = {.5, .5, -.5, -.5}: variance 1/3, error
  // sqrt(1/12).
  const TaskTerm ratio = ratio_term(term("t", {1, 1, 0, 0}), term("t", {1, 1, 1, 1}));

  const Estimate e = estimate({{"s", {{ratio}}}});

  CHECK(*e.value == Approx(0.5));
  CHECK(half_width(e) == Approx(1.959964 * std::sqrt(1.0 / 12)));
}

TEST_CASE("The Pareto front keeps the non-dominated points, by ascending cost", "[reports]") {
  // {quality, cost}: 0 dominates 1, 2 dominates 3; 4 equals 2 and is kept.
  const std::vector<OperatingPoint> points{{0.5, 1}, {0.4, 2}, {0.9, 3}, {0.9, 4}, {0.9, 3}};

  CHECK(pareto_front(points) == std::vector<size_t>{0, 2, 4});
  CHECK(pareto_front({}).empty());
}
