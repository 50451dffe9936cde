#include "harness/lm/language_predictor.h"
#include "tests/catch.h"
#include "tests/lm/encoder_models.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

Json sentiment(const std::string& file) {
  return {{"dataset", {{"files", {{"test", file}}}}},
          {"text", "{{text}}"},
          {"labels", {"bad", "good", "mixed"}}};
}

Json likeness(const std::string& file) {
  return {{"dataset", {{"files", {{"test", file}}}}}, {"text", "{{a}}"}, {"text_pair", "{{b}}"}};
}

std::vector<MetricResult> classified(const Json& definition, const Predictor& model) {
  return make_text_task("sequence_classification", definition)->evaluate(model, Split::kTest);
}

std::vector<MetricResult> compared(const Json& definition) {
  return make_text_task("sentence_similarity", definition)->evaluate(FakeEncoder(0), Split::kTest);
}

}  // namespace

TEST_CASE("a text is classified by the highest score", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"text", "3 1 0"}, {"label", "bad"}},
                                                    {{"text", "0 2 1"}, {"label", "good"}},
                                                    {{"text", "1 2 0"}, {"label", "bad"}},
                                                    {{"text", "5 0 5"}, {"label", "mixed"}}});
  Json definition = sentiment(file);
  const auto usual = classified(definition, FakeEncoder(3));
  REQUIRE(usual.size() == 2);
  CHECK(usual[0].metric == "acc");
  CHECK(usual[0].value == 0.5);
  CHECK(usual[0].outcomes == std::vector<double>{1, 1, 0, 0});  // ties go to the first
  // bad: 1 of 2 + 2, good: 1 of 2 + 1, mixed: none.
  CHECK(usual[1].metric == "macro_f1");
  CHECK(usual[1].value == Approx((0.5 + 2.0 / 3 + 0) / 3));
  definition["metrics"] = {"matthews"};
  const auto wanted = classified(definition, FakeEncoder(3));
  REQUIRE(wanted.size() == 1);
  // Frequencies: labels 1/2 1/4 1/4, predictions 1/2 1/2 0, correct 1/2.
  CHECK(wanted[0].value == Approx((0.5 - 0.375) / std::sqrt(0.625 * 0.5)));
}

TEST_CASE("labels may be ids, and texts pairs", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"a", "1"}, {"b", "2"}, {"class", 1}},
                                                    {{"a", "1"}, {"b", "0"}, {"class", "1"}}});
  Json definition = likeness(file);
  definition["classes"] = 2;
  definition["label"] = "class";
  CHECK(classified(definition, FakeEncoder(2))[0].outcomes == std::vector<double>{1, 0});
  folder.lines("a.jsonl", {{{"a", "1"}, {"b", "2"}, {"class", 2}}});
  CHECK_THROWS_WITH(classified(definition, FakeEncoder(2)),
                    Contains("a.jsonl line 1") && Contains("'2' is not in 0..1"));
}

TEST_CASE("similarities are compared with gold scores", "[task]") {
  const TextFolder folder;
  // Similarities 1, 3, 2, 2 against 10, 20, 30, "20.0": ranks 1, 4, 2.5, 2.5 and 1, 2.5, 4, 2.5.
  const std::string file = folder.lines("a.jsonl", {{{"a", "1"}, {"b", "0"}, {"score", 10}},
                                                    {{"a", "4"}, {"b", "1"}, {"score", 20}},
                                                    {{"a", "2"}, {"b", "0"}, {"score", 30}},
                                                    {{"a", "3"}, {"b", "1"}, {"score", "20.0"}}});
  const auto results = compared(likeness(file));
  REQUIRE(results.size() == 2);
  CHECK(results[0].metric == "spearman");
  CHECK(results[0].value == Approx(2.25 / 4.5));
  CHECK(results[1].metric == "pearson");
  CHECK(results[1].value == Approx(0.5));  // deviations -1 1 0 0 and -10 0 10 0
  Json turned = likeness(file);
  turned["text"] = "{{b}}";
  turned["text_pair"] = "{{a}}";
  CHECK(compared(turned)[0].value == Approx(-0.5));
}

TEST_CASE("items that cannot be classified or compared are errors with the reason", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines(
      "a.jsonl", {{{"text", "1 2"}, {"label", "good"}}, {{"text", "1 2"}, {"label", "goood"}}});
  const Json definition = sentiment(file);
  CHECK_THROWS_WITH(classified(definition, FakeEncoder(3)),
                    Contains("a.jsonl line 2") && Contains("'goood'") && Contains("'good'"));
  CHECK_THROWS_WITH(classified(definition, FakeEncoder(2)),
                    Contains("3 labels (bad, good, mixed)") && Contains("2 classes"));
  CHECK_THROWS_WITH(classified(definition, FakeEncoder(0)),
                    Contains("classification head") && Contains("fake, an encoder"));
  CHECK_THROWS_WITH(classified(definition, FakeEncoder(3, {"Good", "Mixed", "Bad"})),
                    Contains("bad, good, mixed") && Contains("Good, Mixed, Bad"));
  CHECK_THROWS_WITH(
      classified(definition, LanguagePredictor(fake_model())),
      Contains("needs an encoder") && Contains("fake, a decoder-only language model"));
  CHECK_THROWS_AS(classified(definition, LanguagePredictor(fake_model())), UserError);
  folder.lines("a.jsonl", {{{"text", "no number"}, {"label", "good"}}});
  CHECK_THROWS_WITH(classified(sentiment(file), FakeEncoder(3)),
                    Contains("a.jsonl line 1") && Contains("not finite"));
  folder.lines("b.jsonl", {{{"a", "2"}, {"b", "1"}, {"score", "high"}}});
  CHECK_THROWS_WITH(compared(likeness(folder.path() + "/b.jsonl")),
                    Contains("b.jsonl line 1") && Contains("'high' is not a number"));
  folder.lines("c.jsonl", {{{"a", "2"}, {"b", "1"}, {"score", 1}}});
  CHECK_THROWS_WITH(compared(likeness(folder.path() + "/c.jsonl")), Contains("gold scores are 1"));
  folder.lines("d.jsonl",
               {{{"a", "2"}, {"b", "1"}, {"score", 1}}, {{"a", "3"}, {"b", "2"}, {"score", 2}}});
  CHECK_THROWS_WITH(compared(likeness(folder.path() + "/d.jsonl")),
                    Contains("all pairs the similarity 1"));
}

// scipy and the programs that follow it (MTEB, sentence-transformers) give NaN.
TEST_CASE("an encoder that gives all texts one embedding has no correlation", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"a", "t4"}, {"b", "t5 t6"}, {"score", 1}},
                                                    {{"a", "t4 t7 t8"}, {"b", "t9"}, {"score", 2}},
                                                    {{"a", "t5"}, {"b", "t6"}, {"score", 3}}});
  EncoderModel model = tiny_encoder("bert-bare");
  for (auto& [name, tensor] : model.weights)
    if (name.find("_embeddings.") != std::string::npos) tensor = at::zeros_like(tensor);
  model.weights.at("bert.embeddings.LayerNorm.bias") = at::arange(16, at::kFloat).cos();
  const auto task = make_text_task("sentence_similarity", likeness(file));

  CHECK_THROWS_AS(task->evaluate(EncoderModelPredictor(model), Split::kTest), DataError);
  CHECK_THROWS_WITH(task->evaluate(EncoderModelPredictor(model), Split::kTest),
                    Contains("all pairs the similarity 1.000000") && Contains("undefined"));
  // Cosines of equal vectors differ by rounding, which is no order of the pairs.
  folder.lines("a.jsonl", {{{"a", "1"}, {"b", "0"}, {"score", 1}},
                           {{"a", "1.0000005"}, {"b", "0"}, {"score", 2}}});
  CHECK_THROWS_WITH(compared(likeness(file)), Contains("undefined"));
  folder.lines("a.jsonl", {{{"a", "1"}, {"b", "0"}, {"score", 1}},
                           {{"a", "1.00001"}, {"b", "0"}, {"score", 2}}});
  CHECK(compared(likeness(file))[0].value == Approx(1));
}

TEST_CASE("a task for language models refuses an encoder", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"text", "x"}}});
  const auto task = make_text_task("perplexity", {{"dataset", {{"files", {{"test", file}}}}}});
  CHECK_THROWS_WITH(task->evaluate(FakeEncoder(2), Split::kTest),
                    Contains("needs a language model") && Contains("fake, an encoder"));
}

TEST_CASE("definitions of encoder tasks are read strictly", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"text", "1 2"}, {"label", "good"}}});
  const auto refused = [&](const std::string& kind, const Json& changes, const std::string& part) {
    Json definition = sentiment(file);
    if (kind == "sentence_similarity") definition = likeness(file);
    for (const auto& [key, value] : changes.items())
      if (value.is_null())
        definition.erase(key);
      else
        definition[key] = value;
    CHECK_THROWS_AS(make_text_task(kind, definition), UserError);
    CHECK_THROWS_WITH(make_text_task(kind, definition), Contains(part));
  };
  const std::string classification = "sequence_classification", similarity = "sentence_similarity";
  refused(classification, {{"text", nullptr}}, "text");
  refused(classification, {{"labels", nullptr}}, "'labels'");
  refused(classification, {{"classes", 3}}, "'classes'");
  refused(classification, {{"labels", {"a"}}}, "at least 2");
  refused(classification, {{"labels", {"a", "b", "a"}}}, "twice");
  refused(classification, {{"labels", nullptr}, {"classes", 1}}, "at least 2");
  refused(classification, {{"metrics", {"spearman"}}}, "spearman");
  refused(classification, {{"prompt", "x"}}, "prompt");
  refused(similarity, {{"text_pair", nullptr}}, "text_pair");
  refused(similarity, {{"metrics", {"acc"}}}, "acc");
  refused(similarity, {{"label", "x"}}, "label");
}
