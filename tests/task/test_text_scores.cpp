#include <cmath>
#include <numbers>

#include "harness/core/mean.h"
#include "harness/core/metrics.h"
#include "harness/core/whitespace.h"
#include "tasks/answer_metrics.h"
#include "tasks/perplexity_metric.h"
#include "tests/catch.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("perplexity is computed over all texts", "[task]") {
  const TextFolder folder;
  const std::string file =
      folder.lines("a.jsonl", {{{"text", "two words"}}, {{"text", "these are four words"}}});
  const auto task = make_text_task("perplexity", {{"dataset", {{"files", {{"test", file}}}}}});

  const auto results = evaluate(*task);

  const double sum =
      fake_log_likelihood("^", "two words") + fake_log_likelihood("^", "these are four words");
  REQUIRE(results.size() == 4);
  CHECK(results[0].metric == "word_perplexity");
  CHECK(results[0].value == Approx(std::exp(-sum / 6)).epsilon(1e-4));
  CHECK(results[1].metric == "byte_perplexity");
  CHECK(results[1].value == Approx(std::exp(-sum / 29)).epsilon(1e-5));
  CHECK(results[2].metric == "bits_per_byte");
  CHECK(results[2].value == Approx(-sum / 29 / std::numbers::ln2).epsilon(1e-5));
  CHECK(results[3].metric == "token_perplexity");
  CHECK(results[3].value == Approx(results[1].value));  // every character is a token
  for (const MetricResult& result : results) {
    REQUIRE(result.outcomes.size() == 2);
    CHECK(mean(result.outcomes) == Approx(result.value).epsilon(1e-5));
    CHECK(lower_is_better(result.metric));
  }
  // The item with the lower likelihood per byte has the greater influence.
  const bool first_worse = -fake_log_likelihood("^", "two words") / 9 > -sum / 29;
  CHECK((results[1].outcomes[0] > results[1].value) == first_worse);
}

TEST_CASE("a text longer than the model's maximum is scored in windows", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"page", "0123456789"}, {"raw", "one two"}}});
  const auto task = make_text_task("perplexity", {{"dataset", {{"files", {{"test", file}}}}},
                                                  {"text", "{{page}}"},
                                                  {"counted_text", "{{raw}}"},
                                                  {"window", 4},
                                                  {"metrics", {"word_perplexity"}}});
  const double sum = fake_log_likelihood("^", "0123") + fake_log_likelihood("3", "4567") +
                     fake_log_likelihood("567", "89");
  CHECK(evaluate(*task).at(0).value == Approx(std::exp(-sum / 2)).epsilon(1e-4));
}

TEST_CASE("an item's perplexity need not fit into float32", "[task]") {
  // m = 200. The influence of an item is exp(m) (-l - m), here n / W = 1.
  const MetricResult result = perplexity_of("perplexity", {-100, -300}, {1, 1});
  CHECK(result.value == Approx(std::exp(200.0)));
  CHECK(result.outcomes.at(0) == Approx(-99 * std::exp(200.0)));
  CHECK(result.outcomes.at(1) == Approx(101 * std::exp(200.0)));
}

TEST_CASE("an empty text has no perplexity", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"text", "x"}}, {{"text", ""}}});
  const auto task = make_text_task("perplexity", {{"dataset", {{"files", {{"test", file}}}}}});
  CHECK_THROWS_WITH(evaluate(*task), Contains("a.jsonl line 2") && Contains("empty"));
}

TEST_CASE("a target is correct when it is the greedy continuation", "[task]") {
  const TextFolder folder;
  const std::string own = fake_continuation("say:", 2);
  const std::string file =
      folder.lines("a.jsonl", {{{"p", "say:"}, {"t", own}}, {{"p", "say:"}, {"t", "??"}}});
  const auto task =
      make_text_task("log_likelihood", {{"dataset", {{"files", {{"test", file}}}}},
                                        {"prompt", "{{p}}"},
                                        {"target", "{{t}}"},
                                        {"delimiter", ""},
                                        {"metrics", {"acc", "perplexity", "token_perplexity"}}});
  const auto results = evaluate(*task);
  CHECK(results.at(0).outcomes == std::vector<double>{1, 0});
  const double sum = fake_log_likelihood("say:", own) + fake_log_likelihood("say:", "??");
  CHECK(results.at(1).value == Approx(std::exp(-sum / 2)).epsilon(1e-4));
  CHECK(results.at(2).value == Approx(std::exp(-sum / 4)).epsilon(1e-4));
}

TEST_CASE("generated text is compared with the best of the references", "[task]") {
  const TextFolder folder;
  const std::string own = fake_continuation("say:", 4);
  const std::string file = folder.lines(
      "a.jsonl", {{{"p", "say:"}, {"t", {"no", own}}}, {{"p", "say:"}, {"t", {"no"}}}});
  const Json definition{{"dataset", {{"files", {{"test", file}}}}},
                        {"prompt", "{{p}}"},
                        {"targets", "t"},
                        {"max_tokens", 4}};
  CHECK(evaluate(*make_text_task("generation", definition)).at(0).outcomes ==
        std::vector<double>{1, 0});
  Json one_template = definition;
  one_template.erase("targets");
  one_template["target"] = "{{t}}";
  CHECK(evaluate(*make_text_task("generation", one_template)).at(0).outcomes ==
        std::vector<double>{1, 0});
  Json stopped = definition;
  stopped["stop"] = {own.substr(1, 1)};
  CHECK(evaluate(*make_text_task("generation", stopped)).at(0).value == 0);
  folder.lines("a.jsonl", {{{"p", "say:"}, {"t", Json::array()}}});
  CHECK_THROWS_WITH(evaluate(*make_text_task("generation", definition)),
                    Contains("a.jsonl line 1") && Contains("reference answer"));
}

TEST_CASE("words are counted as Python splits them", "[core]") {
  CHECK(count_words("one two\n\tthree") == 3);
  CHECK(count_words("") == 1);
  CHECK(count_words(" a ") == 3);
  CHECK(count_words("a\u00a0\u2003b") == 2);
  CHECK(stripped(" \u3000a b\n") == "a b");
}

TEST_CASE("numbers are extracted by the rules of GSM8K", "[task]") {
  CHECK(number_after_marks("so\n#### 1,234\n#### 5") == "1,234");
  CHECK(number_after_marks("#### -3.5 apples") == "-3.5");
  CHECK(number_after_marks("#### about 3").empty());
  CHECK(last_number("I have 3 and then $20.") == "$20.");
  CHECK(last_number("5 - 2 = 3") == "3");
  CHECK(last_number("it is -7") == "-7");
  CHECK(last_number("none . $").empty());
  CHECK(last_number("7 ...") == "...");  // a match of the published pattern
  const std::string solution = "2 + 3 = <<2+3=5>>5\n#### 1,005";
  CHECK(number_match("1005", solution) == 1);
  CHECK(number_match("$1,005.", solution) == 1);
  CHECK(number_match("1006", solution) == 0);
  CHECK(number_match("", solution) == 0);
}

// Scores of lm-evaluation-harness 0.4.13, filters strict-match and flexible-extract of its task
// gsm8k: see scripts/peers/answer_numbers.py.
TEST_CASE("unusual answers are scored as by lm-evaluation-harness", "[task]") {
  struct Case {
    const char *answer, *solution;
    double strict, flexible;
  };
  const Case cases[] = {
#include "tests/golden/answer_numbers.inc"
  };
  for (const Case& c : cases) {
    INFO(c.answer << " / " << c.solution);
    CHECK(number_match(number_after_marks(c.answer), c.solution) == c.strict);
    CHECK(number_match(last_number(c.answer), c.solution) == c.flexible);
  }
}

TEST_CASE("answer metrics follow their publications", "[task]") {
  CHECK(exact_match(" Paris\n", "Paris", {}) == 1);
  CHECK(exact_match("paris", "Paris", {}) == 0);
  CHECK(exact_match(" Paris", "Paris", {.strip = false}) == 0);
  CHECK(exact_match(" Paris", " Paris", {.strip = false}) == 1);
  CHECK(exact_match("PÀRIS!", "pàris", {.ignore_case = true, .ignore_punctuation = true}) == 1);
  CHECK(squad_exact("The  Eiffel Tower.", "eiffel tower") == 1);
  CHECK(squad_exact("theatre", "atre") == 0);
  // 2 words in common of 3 and of 2.
  CHECK(squad_f1("big Eiffel tower", "the Eiffel Tower") == Approx(0.8));
  CHECK(squad_f1("", "x") == 0);
  CHECK(squad_f1("the", "a") == 1);  // both are empty without articles
  // The longest common subsequence is "the cat mat": 3 of 4 and of 6.
  CHECK(rouge_l("the cat, mat now", "The cat sat on the mat") == Approx(2 * .75 * .5 / 1.25));
  CHECK(rouge_l("", "") == 0);
}

// Values of sacrebleu 2 (sentence_chrf / 100) and rouge_score 0.1.2 (rougeL): see
// scripts/peers/answer_metrics.py.
TEST_CASE("chrF and ROUGE-L agree with sacrebleu and rouge_score", "[task]") {
  struct Case {
    const char *answer, *reference;
    double chrf_value, rouge_value;
  };
  const Case cases[] = {
#include "tests/golden/answer_metrics.inc"
  };
  for (const Case& c : cases) {
    INFO(c.answer << " / " << c.reference);
    CHECK(chrf(c.answer, c.reference) == Approx(c.chrf_value).margin(1e-6));
    CHECK(rouge_l(c.answer, c.reference) == Approx(c.rouge_value).margin(1e-6));
  }
}

TEST_CASE("standard errors are those of means", "[task]") {
  // The sample's variance of 0, 0, 1, 1 is 1/3.
  CHECK(standard_error("acc", {0, 0, 1, 1}).value() == Approx(std::sqrt(1.0 / 3 / 4)));
  CHECK_FALSE(standard_error("acc", {1}).has_value());
  for (const char* metric : {"word_perplexity", "bits_per_byte", "macro_f1", "spearman"})
    CHECK_FALSE(standard_error(metric, {0, 1, 2}).has_value());
}
