#include "harness/lm/evaluator.h"

#include <fstream>

#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/lm/fake_language_model.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

TextRequests some_requests() {
  TextRequests requests;
  requests.likelihoods = {{"one", " two", "a"}, {"one", " three", "b"}, {"one", " two", "c"}};
  requests.rolling = {{"some text", 0, "d"}};
  requests.generations = {{"and", {}, 4, "e"}};
  return requests;
}

// Logits that are NaN.
class BrokenArchitecture : public FakeArchitecture {
 public:
  using FakeArchitecture::FakeArchitecture;
  at::Tensor vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const override {
    return FakeArchitecture::vocabulary_logits(weights, hidden) * std::nan("");
  }
};

}  // namespace

TEST_CASE("answers are in the order of the requests; equal requests are computed once", "[lm]") {
  const LanguageModel model = fake_model();
  LanguageEvaluator evaluator(model);

  const TextResponses answers = evaluator.answer(some_requests());

  REQUIRE(answers.likelihoods.size() == 3);
  CHECK(answers.likelihoods[0].log_likelihood ==
        Approx(fake_log_likelihood("one", " two")).epsilon(1e-5));
  CHECK(answers.likelihoods[1].log_likelihood ==
        Approx(fake_log_likelihood("one", " three")).epsilon(1e-5));
  CHECK(answers.likelihoods[2].log_likelihood == answers.likelihoods[0].log_likelihood);
  CHECK(answers.likelihoods[1].tokens == 6);
  CHECK(answers.rolling.at(0).log_likelihood ==
        Approx(fake_log_likelihood("^", "some text")).epsilon(1e-5));
  CHECK(answers.generations.at(0).text == fake_continuation("and", 4));
  CHECK(evaluator.usage().requests == 4);
  CHECK(evaluator.usage().cached == 0);

  const int64_t seen = fake_of(model).tokens_computed;
  evaluator.answer(some_requests());
  CHECK(fake_of(model).tokens_computed == seen);  // nothing is recomputed
  CHECK(evaluator.usage().cached == 4);
}

TEST_CASE("answers are cached on disk for models of known content", "[lm]") {
  const TemporaryFolder folder;
  const EnvironmentVariable variable("ASSAY_RESPONSES_DIR", folder.path().string());
  LanguageModel model = fake_model();
  model.weights_hash = "0123";
  const TextResponses first = LanguageEvaluator(model).answer(some_requests());
  // As left by a process that was killed while writing.
  for (const auto& file : fs::directory_iterator(folder.path()))
    std::ofstream(file.path(), std::ios::app) << "[\"abc\",[1.5,tr";

  const int64_t seen = fake_of(model).tokens_computed;
  LanguageEvaluator again(model);
  const TextResponses second = again.answer(some_requests());
  CHECK(fake_of(model).tokens_computed == seen);
  CHECK(second.likelihoods[0].log_likelihood == first.likelihoods[0].log_likelihood);
  CHECK(second.generations[0].text == first.generations[0].text);
  again.answer({.likelihoods = {{"new", " one", "x"}}});
  LanguageEvaluator third(model);
  third.answer({.likelihoods = {{"new", " one", "x"}}});
  CHECK(third.usage().cached == 1);  // written after the incomplete line

  LanguageModel other = model;
  other.weights_hash = "4567";
  LanguageEvaluator evaluator(other);
  evaluator.answer(some_requests());
  CHECK(evaluator.usage().cached == 0);
  other.weights_hash.clear();
  LanguageEvaluator unknown(other);
  unknown.answer(some_requests());
  CHECK(unknown.usage().cached == 0);
}

TEST_CASE("truncation is counted, and its policy is reported", "[lm]") {
  const TemporaryFolder folder;
  const EnvironmentVariable variable("ASSAY_RESPONSES_DIR", folder.path().string());
  LanguageModel model = fake_model(8);
  model.weights_hash = "0123";
  LanguageEvaluator evaluator(model);
  const TextRequests requests{.likelihoods = {{"0123456789", "ab", "x"}, {"01", "ab", "y"}}};
  const TextResponses answers = evaluator.answer(requests);
  CHECK(answers.likelihoods[0].dropped == 3);
  CHECK(answers.likelihoods[0].log_likelihood ==
        Approx(fake_log_likelihood("3456789", "ab")).epsilon(1e-5));
  CHECK(answers.likelihoods[1].dropped == 0);
  const Json report = evaluator.report();
  CHECK(report["shortened_requests"] == 1);
  CHECK(report["dropped_tokens"] == 3);
  CHECK(report["max_length"] == 8);
  CHECK(report["too_long"] == "cut at the beginning");
  LanguageEvaluator again(model);  // a cached answer counts its truncation again
  again.answer(requests);
  CHECK(again.report()["known_answers"] == 2);
  CHECK(again.report()["shortened_requests"] == 1);
  CHECK(again.report()["dropped_tokens"] == 3);
}

TEST_CASE("scores that are not finite name the request", "[lm]") {
  LanguageModel model = fake_model();
  model.architecture = std::make_shared<BrokenArchitecture>(64);
  LanguageEvaluator evaluator(model);
  CHECK_THROWS_WITH(evaluator.answer({.likelihoods = {{"one", " two", "item 7"}}}),
                    Contains("item 7") && Contains("not finite"));
  CHECK_THROWS_WITH(evaluator.answer({.generations = {{"one", {}, 4, "item 8"}}}),
                    Contains("item 8") && Contains("not finite"));
}
