// The definitions that Assay includes, on their own data.
#include "harness/task/text_file.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/skip.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

Json read_record(const std::string& reader, const Json& record) {
  return text_readers().at(reader, "the test").read(record, "file item 1");
}

Json instruction(const std::string& text, const std::string& answer) {
  return {{"instruction", text}, {"answer", answer}};
}

// Not by load_task(), which memoizes a task from before the data folder was set.
std::shared_ptr<const Task> defined_task(const std::string& name) {
  const size_t slash = name.find('/');
  const Json suite = read_json(home_folder() / "tasks" / (name.substr(0, slash) + ".json"));
  for (const Json& entry : suite["tasks"]) {
    if (entry["name"] != name.substr(slash + 1)) continue;
    Json definition = suite.value("shared", Json::object());
    definition.update(entry);
    definition.erase("name");
    return make_text_task(suite["kind"].get<std::string>(), definition);
  }
  throw std::runtime_error("no task " + name);
}

}  // namespace

TEST_CASE("LLM-Adapters' instructions are parsed", "[datasets]") {
  const Json plain = read_record(
      "llm_adapters",
      instruction(
          "Please choose the correct answer to the question: Why?\n\nAnswer1: a b. Answer2: "
          "c\n\nAnswer format: answer1/answer2",
          "answer2"));
  CHECK(plain == Json{{"question", "Why?"}, {"choices", {"a b.", "c"}}, {"label", 1}});
  const Json blank =
      read_record("llm_adapters",
                  instruction("... to complete the given sentence: He saw _ there.\n\nOption1: x "
                              "Option2: y Answer format: option1/option2",
                              "option1"));
  CHECK(blank["before"] == "He saw ");
  CHECK(blank["after"] == "there.");
  CHECK(blank["label"] == 0);
  CHECK_THROWS_WITH(read_record("llm_adapters", instruction("no choices", "answer1")),
                    Contains("file item 1") && Contains("no list of choices"));
  CHECK_THROWS_WITH(
      read_record("llm_adapters", instruction("q\n\nAnswer1: a Answer2: b", "answer3")),
      Contains("answer3") && Contains("1..2"));
}

TEST_CASE("TruthfulQA's answers become choices", "[datasets]") {
  const Json item = read_record("truthfulqa", {{"Question", " Q? "},
                                               {"Best Answer", "yes"},
                                               {"Correct Answers", "yes; indeed."},
                                               {"Incorrect Answers", "no;  never; "}});
  CHECK(item["question"] == "Q?");
  CHECK(item["mc1"]["choices"] == Json{"yes.", "no.", "never."});
  CHECK(item["mc2"]["choices"] == Json{"yes.", "indeed.", "no.", "never."});
  CHECK(item["mc2"]["labels"] == Json{1, 1, 0, 0});
}

TEST_CASE("every definition reads its data", "[task][optional]") {
  for (const char* needed : {"gsm8k", "humaneval", "mbpp", "multiple_choice", "piqa", "truthfulqa"})
    testing::test_data(needed);
  const EnvironmentVariable folder("ASSAY_DATA_DIR", testing::test_data("."));
  struct Expected {
    const char* task;
    int64_t items, validation, likelihoods;
  };
  // Numbers of choices in the files: most ARC questions have 4, some 3 or 5.
  const Expected all[] = {
      {"knowledge/arc-easy", 2376, 300, -1},    {"knowledge/arc-challenge", 1172, 300, -1},
      {"knowledge/openbookqa", 500, 500, 2000}, {"knowledge/siqa", 1954, 0, 5862},
      {"knowledge/winogrande", 1267, 0, 2534},  {"knowledge/piqa", 1838, 0, 3676},
      {"knowledge/truthfulqa-mc1", 813, 0, -1}, {"knowledge/truthfulqa-mc2", 813, 0, -1},
      {"code/humaneval", 164, 0, 164},          {"code/mbpp", 500, 90, 500}};
  for (const Expected& expected : all) {
    INFO(expected.task);
    const auto task = defined_task(expected.task);
    CHECK(task->size(Split::kTest) == expected.items);
    CHECK(task->size(Split::kValidation) == expected.validation);
    const auto requests = task->requests(Split::kTest).likelihoods;
    if (expected.likelihoods >= 0)
      CHECK(static_cast<int64_t>(requests.size()) == expected.likelihoods);
    else
      CHECK(static_cast<int64_t>(requests.size()) > 2 * expected.items);
  }
  const auto gsm8k = defined_task("math/gsm8k");
  const auto generations = gsm8k->requests(Split::kTest).generations;
  REQUIRE(generations.size() == 1319);
  CHECK(generations[0].context.starts_with("Question: Natalia sold clips to 48"));
  CHECK(generations[0].context.ends_with("farmers' market?\nAnswer:"));

  const auto winogrande = defined_task("knowledge/winogrande")->requests(Split::kTest);
  CHECK(winogrande.likelihoods[0].context == "Sarah was a much better surgeon than Maria so Sarah");
  CHECK(winogrande.likelihoods[1].continuation == " always got the easier cases.");
}
