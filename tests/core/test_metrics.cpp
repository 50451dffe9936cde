#include "harness/core/metrics.h"

#include "tests/catch.h"

using namespace assay;

TEST_CASE("A relative score is above 1 where it is better, whatever the direction", "[core]") {
  CHECK(*relative_score("acc", 0.6, 0.8) == Approx(0.75));
  CHECK(*relative_score("bits_per_byte", 2.5, 2) == Approx(0.8));
  CHECK(*relative_score("word_perplexity", 20, 30) == Approx(1.5));
  CHECK(*relative_score("acc", 0, 0.5) == 0);
}

TEST_CASE("Fractions are of one kind, every other metric is of its own", "[core]") {
  CHECK(metric_kind("acc") == metric_kind("spearman"));
  CHECK(metric_kind("acc") != metric_kind("perplexity"));
  CHECK(metric_kind("perplexity") != metric_kind("bits_per_byte"));
}

TEST_CASE("A relative score has no denominator below 0.01", "[core]") {
  CHECK_FALSE(relative_score("acc", 0.5, 0.009));
  CHECK(relative_score("acc", 0.009, 0.5));
  CHECK_FALSE(relative_score("brier", 0.009, 0.5));
  CHECK(relative_score("brier", 0.5, 0.009));
}
