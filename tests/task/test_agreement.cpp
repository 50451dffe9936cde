#include "tasks/agreement.h"

#include <cmath>

#include "harness/core/files.h"
#include "harness/core/mean.h"
#include "harness/core/metrics.h"
#include "harness/core/rng.h"
#include "tests/catch.h"

using namespace assay;

namespace {

/// Removing item i must change the value as its outcome (influence function) predicts.
template <typename Value>
void check_outcomes(const MetricResult& result, Value&& without) {
  CHECK(mean(result.outcomes) == Approx(result.value).margin(1e-6));
  const auto n = static_cast<double>(result.outcomes.size());
  for (size_t i = 0; i < result.outcomes.size(); i += 7) {
    const double change = (result.value - without(i)) * (n - 1);
    CHECK(static_cast<double>(result.outcomes[i]) - result.value ==
          Approx(change).margin(20 / n).epsilon(20 / n));
  }
}

template <typename T>
std::vector<T> less(std::vector<T> values, size_t i) {
  values.erase(values.begin() + static_cast<int64_t>(i));
  return values;
}

}  // namespace

// Values of SciPy and scikit-learn: see scripts/peers/agreement.py.
TEST_CASE("metrics over a whole split agree with SciPy and scikit-learn", "[task]") {
  const Json golden = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/agreement.json");
  for (const Json& lists : golden.at("numbers")) {
    const auto x = lists.at("x").get<std::vector<double>>();
    const auto y = lists.at("y").get<std::vector<double>>();
    CHECK(spearman("spearman", x, y).value ==
          Approx(lists.at("spearman").get<double>()).margin(1e-12));
    CHECK(pearson("pearson", x, y).value ==
          Approx(lists.at("pearson").get<double>()).margin(1e-12));
  }
  for (const Json& lists : golden.at("labels")) {
    const Classified items{lists.at("labels").get<std::vector<int64_t>>(),
                           lists.at("predictions").get<std::vector<int64_t>>()};
    CHECK(macro_f1("macro_f1", items).value ==
          Approx(lists.at("macro_f1").get<double>()).margin(1e-12));
    CHECK(matthews("matthews", items).value ==
          Approx(lists.at("matthews").get<double>()).margin(1e-12));
  }
}

TEST_CASE("agreement of a few items, by hand", "[task]") {
  CHECK(mid_ranks({3, 1, 1, 2}) == std::vector<double>{0.875, 0.25, 0.25, 0.625});
  // Reversed but for one tie: ranks 1, 2, 3 and 2.5, 2.5, 1.
  CHECK(spearman("s", {1, 2, 3}, {9, 9, 4}).value == Approx(-1.5 / std::sqrt(3)));
  CHECK(pearson("p", {0, 1, 2}, {1, 3, 5}).value == Approx(1));
  // 2 of 3 zeros and the one 1 are found: F1 is 0.8 and 2/3.
  CHECK(macro_f1("f", {{0, 0, 0, 1}, {0, 0, 1, 1}}).value == Approx((0.8 + 2.0 / 3) / 2));
  CHECK(matthews("m", {{0, 0, 0, 1}, {0, 0, 1, 1}}).value == Approx(2 / std::sqrt(12)));
  CHECK(matthews("m", {{0, 1, 0, 1}, {1, 0, 1, 0}}).value == Approx(-1));
  const MetricResult nothing = matthews("m", {{0, 1}, {0, 0}});
  CHECK(nothing.value == 0);
  CHECK(nothing.outcomes == std::vector<double>{0, 0});
}

TEST_CASE("an outcome is the value plus the item's influence", "[task]") {
  Rng random(1, "agreement");
  constexpr size_t kItems = 600;
  std::vector<double> x, y;
  Classified items;
  for (size_t i = 0; i < kItems; ++i) {
    x.push_back(random.normal());
    y.push_back(std::round(2 * x.back() + 2 * random.normal()));  // with ties
    items.labels.push_back(static_cast<int64_t>(i % 3));
    items.predictions.push_back(x.back() < 0 ? static_cast<int64_t>(i % 3) : 1);
  }
  check_outcomes(spearman("s", x, y),
                 [&](size_t i) { return spearman("s", less(x, i), less(y, i)).value; });
  check_outcomes(pearson("p", x, y),
                 [&](size_t i) { return pearson("p", less(x, i), less(y, i)).value; });
  const auto without = [&](size_t i) {
    return Classified{less(items.labels, i), less(items.predictions, i)};
  };
  check_outcomes(macro_f1("f", items), [&](size_t i) { return macro_f1("f", without(i)).value; });
  check_outcomes(matthews("m", items), [&](size_t i) { return matthews("m", without(i)).value; });
}

TEST_CASE("correlations are better when greater, and may be negative", "[task]") {
  for (const char* metric : {"spearman", "pearson", "matthews", "macro_f1"}) {
    CHECK(is_fraction(metric));
    CHECK(merit(metric, -0.25) == -0.25);
  }
}
