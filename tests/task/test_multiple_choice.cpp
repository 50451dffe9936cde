#include <cmath>

#include "tests/catch.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

Json question(const std::string& text, const std::vector<std::string>& choices, const Json& label) {
  return {{"question", text}, {"choices", choices}, {"label", label}};
}

Json choice_definition(const std::string& file) {
  return {{"dataset", {{"files", {{"test", file}}}}},
          {"prompt", "Q: {{question}}\nA:"},
          {"choices", "{{choices}}"},
          {"metrics", {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier", "mc2"}}};
}

float value_of(const std::vector<MetricResult>& results, const std::string& metric, size_t item) {
  for (const MetricResult& result : results)
    if (result.metric == metric) return result.outcomes.at(item);
  FAIL("no metric " << metric);
  return 0;
}

size_t best_of(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

TEST_CASE("choices are compared by log-likelihood, unnormalised and by length", "[task]") {
  const TextFolder folder;
  const std::vector<std::string> choices{"by", "north", "a longer one", "zz"};
  std::vector<Json> items;
  for (int label = 0; label < 4; ++label) items.push_back(question("where", choices, label));
  const auto task =
      make_text_task("multiple_choice", choice_definition(folder.lines("a.jsonl", items)));

  const auto results = evaluate(*task);

  std::vector<double> plain, per_character, information, probability;
  for (const std::string& choice : choices) {
    plain.push_back(fake_log_likelihood("Q: where\nA:", " " + choice));
    per_character.push_back(plain.back() / static_cast<double>(choice.size()));
    information.push_back(plain.back() - fake_log_likelihood("^", " " + choice));
  }
  double sum = 0;
  for (const double value : plain) sum += std::exp(value);
  for (const double value : plain) probability.push_back(std::exp(value) / sum);
  for (size_t label = 0; label < 4; ++label) {
    CHECK(value_of(results, "acc", label) == (best_of(plain) == label ? 1.f : 0.f));
    CHECK(value_of(results, "acc_norm", label) == (best_of(per_character) == label ? 1.f : 0.f));
    CHECK(value_of(results, "acc_bytes", label) == (best_of(per_character) == label ? 1.f : 0.f));
    CHECK(value_of(results, "acc_mutual_info", label) ==
          (best_of(information) == label ? 1.f : 0.f));
    double brier = 0;
    for (size_t i = 0; i < 4; ++i) brier += std::pow(probability[i] - (i == label ? 1 : 0), 2);
    CHECK(value_of(results, "brier", label) == Approx(brier).epsilon(1e-4));
    CHECK(value_of(results, "mc2", label) == Approx(probability[label]).margin(1e-5));
  }
  CHECK(results.front().metric == "acc");
  CHECK(results.front().value == Approx(0.25));
}

TEST_CASE("prompts may differ by choice, and labels may be names", "[task]") {
  const TextFolder folder;
  const std::vector<Json> items{{{"s", "x "}, {"one", "he"}, {"two", "she"}, {"answer", "B"}}};
  const auto task = make_text_task(
      "multiple_choice", {{"dataset", {{"files", {{"test", folder.lines("a.jsonl", items)}}}}},
                          {"prompt", {"{{s}}{{one}}", "{{s}}{{two}}"}},
                          {"choices", {"went", "went"}},
                          {"label", "answer"},
                          {"label_values", {"A", "B"}},
                          {"metrics", {"acc"}}});
  const bool second = fake_log_likelihood("x she", " went") > fake_log_likelihood("x he", " went");
  CHECK(evaluate(*task).at(0).value == (second ? 1 : 0));
}

TEST_CASE("several choices may be correct", "[task]") {
  const TextFolder folder;
  const std::vector<std::string> choices{"up", "down", "left"};
  const std::vector<Json> items{question("where", choices, Json::array({1, 0, 1}))};
  const auto results = evaluate(
      *make_text_task("multiple_choice", choice_definition(folder.lines("a.jsonl", items))));
  std::vector<double> mass;
  for (const std::string& choice : choices)
    mass.push_back(std::exp(fake_log_likelihood("Q: where\nA:", " " + choice)));
  const double share = (mass[0] + mass[2]) / (mass[0] + mass[1] + mass[2]);
  CHECK(value_of(results, "mc2", 0) == Approx(share).epsilon(1e-4));

  const std::vector<Json> indexed{question("where", choices, Json::array({2, 0}))};
  Json definition = choice_definition(folder.lines("b.jsonl", indexed));
  definition["label_list"] = "indices";
  CHECK(value_of(evaluate(*make_text_task("multiple_choice", definition)), "mc2", 0) ==
        Approx(share).epsilon(1e-4));
  definition["label_list"] = "index";
  CHECK_THROWS_WITH(make_text_task("multiple_choice", definition), Contains("\"indices\""));
}

TEST_CASE("few-shot examples precede the question, but never contain it", "[task]") {
  const TextFolder folder;
  const std::vector<Json> items{question("one", {"1", "2"}, 0), question("two", {"1", "2"}, 1),
                                question("three", {"1", "3"}, 1)};
  Json with_examples = choice_definition(folder.lines("a.jsonl", items));
  with_examples["description"] = "Solve.\n";
  with_examples["few_shot"] = {{"split", "test"}, {"count", 2}};
  with_examples["metrics"] = {"acc"};
  const auto requests =
      make_text_task("multiple_choice", with_examples)->requests(Split::kTest).likelihoods;
  REQUIRE(requests.size() == 6);
  CHECK(requests[0].context == "Solve.\nQ: two\nA: 2\n\nQ: three\nA: 3\n\nQ: one\nA:");
  CHECK(requests[4].context == "Solve.\nQ: one\nA: 1\n\nQ: two\nA: 2\n\nQ: three\nA:");
  CHECK(requests[5].continuation == " 3");
  with_examples["few_shot"]["count"] = 3;
  CHECK_THROWS_WITH(make_text_task("multiple_choice", with_examples)->requests(Split::kTest),
                    Contains("3 few-shot examples") && Contains("has 2"));
}

TEST_CASE("items that cannot be scored are errors that name them", "[task]") {
  const TextFolder folder;
  const auto message = [&](const Json& item, const Json& changes = Json::object()) {
    Json changed =
        choice_definition(folder.lines("a.jsonl", {question("ok", {"a", "b"}, 0), item}));
    changed.update(changes);
    try {
      evaluate(*make_text_task("multiple_choice", changed));
    } catch (const DataError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK_THAT(message({{"question", "q"}, {"choice", {"a", "b"}}, {"label", 0}}),
             Contains("a.jsonl line 2") && Contains("'choices'") && Contains("mean 'choice'"));
  CHECK_THAT(message(question("q", {"a", "b"}, 2)), Contains("label '2'") && Contains("2 choices"));
  CHECK_THAT(message(question("q", {"a", "b"}, "B")), Contains("'B' is neither an index"));
  CHECK_THAT(message(question("q", {"a", "b"}, Json::array({0, 0}))),
             Contains("no choice is correct"));
  CHECK_THAT(message(question("q", {"a", "b"}, Json::array({1, 2}))),
             Contains("expected to hold 0 or 1") && Contains("found [1,2]"));
  CHECK_THAT(message(question("q", {"a", "b"}, UINT64_MAX)),
             Contains("label '18446744073709551615', but there are 2 choices"));
  CHECK_THAT(message(question("q", {"a"}, 0)), Contains("expected at least 2"));
  CHECK_THAT(message(question("q", {"a", ""}, 0)), Contains("choice 2 is empty"));
  // Without the delimiter, the tokenizer has no token for "~".
  CHECK_THAT(message(question("q", {"~", "b"}, 0), {{"delimiter", ""}}),
             Contains("suite/mine") && Contains("line 2 choice 1") && Contains("no tokens"));
}

TEST_CASE("definitions and data that are wrong are refused", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {question("q", {"a", "b"}, 0)});
  const auto changed = [&](const Json& changes) {
    Json json = choice_definition(file);
    json.update(changes);
    return json;
  };
  const auto make = [](const Json& json) { return make_text_task("multiple_choice", json); };
  CHECK_THROWS_WITH(make(changed({{"promt", "x"}})), Contains("promt") && Contains("prompt"));
  CHECK_THROWS_WITH(make(changed({{"metrics", {"accuracy"}}})), Contains("unknown metric"));
  CHECK_THROWS_WITH(make(changed({{"choices", "a {{b}}"}})), Contains("the one field"));
  CHECK_THROWS_WITH(make(changed({{"dataset", {{"files", {{"tset", file}}}}}})), Contains("tset"));
  Json no_prompt = choice_definition(file);
  no_prompt.erase("prompt");
  CHECK_THROWS_WITH(make(no_prompt), Contains("'prompt' is missing"));

  const auto task = make(choice_definition(file));
  CHECK(task->size(Split::kTest) == 1);
  CHECK(task->size(Split::kTrain) == 0);
  CHECK_THROWS_WITH(task->requests(Split::kTrain), Contains("no train split"));
  const auto missing = make(changed(
      {{"dataset", {{"files", {{"test", "nowhere.jsonl"}}}, {"origin", "example.org/set"}}}}));
  CHECK_THROWS_WITH(missing->requests(Split::kTest), Contains("nowhere.jsonl") &&
                                                         Contains("example.org/set") &&
                                                         Contains("ASSAY_DATA_DIR"));
  const auto empty =
      make(changed({{"dataset", {{"files", {{"test", {{"path", file}, {"skip", 1}}}}}}}}));
  CHECK_THROWS_WITH(empty->requests(Split::kTest), Contains("test split has no items"));
  write_file(file, "{\"question\": 1}\n");
  CHECK_THROWS_WITH(make(choice_definition(file))->requests(Split::kTest),
                    Contains("a.jsonl line 1"));
}

TEST_CASE("other data give another hash; a model that is not a language model is refused",
          "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {question("q", {"a", "b"}, 0)});
  const auto first = make_text_task("multiple_choice", choice_definition(file));
  folder.lines("a.jsonl", {question("q", {"a", "b"}, 1)});
  const auto second = make_text_task("multiple_choice", choice_definition(file));
  CHECK(first->hash() != second->hash());
  CHECK_THROWS_WITH(first->requests(Split::kTest), Contains("has changed"));

  class NoLanguage : public Predictor {
    at::Tensor logits(const at::Tensor& inputs) const override { return inputs; }
    at::Device device() const override { return at::kCPU; }
  };
  CHECK_THROWS_WITH(second->evaluate(NoLanguage(), Split::kTest),
                    Contains("needs a language model"));
  CHECK_THROWS_AS(second->examples(Split::kTest), UserError);
}

TEST_CASE("labels may be in a separate file", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"goal", "g"}, {"sol1", "a"}, {"sol2", "b"}}});
  const auto definition_with = [&](const std::string& labels) {
    write_file(folder.path() + "/labels.lst", labels);
    return Json{
        {"dataset",
         {{"files", {{"test", {{"path", file}, {"labels", folder.path() + "/labels.lst"}}}}}}},
        {"prompt", "{{goal}}"},
        {"choices", {"{{sol1}}", "{{sol2}}"}}};
  };
  const double value =
      evaluate(*make_text_task("multiple_choice", definition_with("1\n")))[0].value;
  CHECK(value == (fake_log_likelihood("g", " b") > fake_log_likelihood("g", " a") ? 1 : 0));
  CHECK_THROWS_WITH(evaluate(*make_text_task("multiple_choice", definition_with("1\n0\n"))),
                    Contains("2 lines") && Contains("1 items"));
}

TEST_CASE("labels are looked up in the item's own list, or are a choice's text", "[task]") {
  const TextFolder folder;
  const auto item = [](const std::vector<std::string>& labels, const std::string& key) {
    return Json{{"question", "where"},
                {"choices", {{"text", {"by", "north", "zz"}}, {"label", labels}}},
                {"label", key}};
  };
  const auto right = [&](const Json& only, const Json& values) {
    Json json = choice_definition(folder.lines("a.jsonl", {only}));
    json["choices"] = "{{choices.text}}";
    if (!values.is_null()) json["label_values"] = values;
    return make_text_task("multiple_choice", json)->item_requests(Split::kTest).at(0);
  };
  CHECK(right(item({"A", "B", "C"}, "B"), "{{choices.label}}").choice == 1);
  CHECK(right(item({"1", "2", "3"}, "3"), "{{choices.label}}").choice == 2);
  CHECK(right(item({"A", "B", "C"}, "zz"), "{{choices.text}}").target == "zz");
  CHECK(right(item({}, "north"), Json()).choice == 1);
  CHECK(right(item({}, "1"), Json()).choice == 1);  // an index takes precedence
  CHECK_THROWS_WITH(right(item({"A", "B", "C"}, "D"), "{{choices.label}}"),
                    Contains("a.jsonl line 1") && Contains("unknown label 'D'"));
  CHECK_THROWS_WITH(right(item({"A", "A", "C"}, "A"), "{{choices.label}}"), Contains("twice"));
  CHECK_THROWS_WITH(right(item({}, "A"), "x {{choices.label}}"), Contains("the one field"));
}
