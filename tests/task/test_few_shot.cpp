// Few-shot examples, and overrides of the command line.
#include "harness/core/hash.h"
#include "harness/task/text_data.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

Json pair(const std::string& q, const std::string& t) { return {{"q", q}, {"t", t}}; }

Json few_shot_definition(const Json& files) {
  return {{"dataset", {{"files", files}}},
          {"prompt", "{{q}}"},
          {"target", "{{t}}"},
          {"few_shot", {{"split", "train"}, {"count", 2}, {"separator", "|"}}}};
}

std::vector<std::string> prompts(const Task& task) {
  std::vector<std::string> all;
  for (const auto& request : task.requests(Split::kTest).likelihoods)
    all.push_back(request.context);
  return all;
}

}  // namespace

TEST_CASE("an item is never its own few-shot example, whatever file repeats it", "[task]") {
  const TextFolder folder;
  const std::string pool = folder.lines(
      "pool.jsonl",
      {pair("a", "1"), pair("b", "2"), pair("b", "2"), pair("c", "3"), pair("b", "4")});
  const std::string scored = folder.lines("scored.jsonl", {pair("b", "2"), pair("x", "9")});
  // Both copies of "b 2" are excluded; "b 4" is another item.
  CHECK(prompts(*make_text_task("log_likelihood",
                                few_shot_definition({{"train", pool}, {"test", scored}}))) ==
        std::vector<std::string>{"a 1|c 3|b", "a 1|b 2|x"});
  // Another split of the same file.
  CHECK(prompts(*make_text_task(
            "log_likelihood",
            few_shot_definition({{"train", pool}, {"test", {{"path", pool}, {"items", 1}}}}))) ==
        std::vector<std::string>{"b 2|b 2|a"});
}

TEST_CASE("a task's hash depends on the contents of its data, not on their folder", "[task]") {
  const TextFolder here, there;
  const std::vector<Json> train{pair("a", "1"), pair("b", "2")}, test{pair("c", "3")};
  const auto hash = [](const std::string& train_path, const std::string& test_path) {
    return make_text_task("log_likelihood",
                          few_shot_definition({{"train", train_path}, {"test", test_path}}))
        ->hash();
  };
  const std::string first = hash(here.lines("1", train), here.lines("2", test));
  // Names in another order.
  CHECK(hash(there.lines("z", train), there.lines("y", test)) == first);
  CHECK(hash(there.lines("z", test), there.lines("y", train)) != first);
  CHECK(hash(there.lines("z", train), there.lines("y", {pair("c", "4")})) != first);
}

TEST_CASE("a task's hash depends on its files' extensions, which select the parser", "[task]") {
  const TextFolder folder;
  const auto hash = [&](const std::string& name) {
    write_file(folder.path() + "/" + name, "q,x\tt\na,y\tb\n");
    return make_text_task("log_likelihood",
                          {{"dataset", {{"files", {{"test", folder.path() + "/" + name}}}}},
                           {"prompt", "{{q}}"},
                           {"target", "{{q}}"}})
        ->hash();
  };
  CHECK(hash("one.csv") != hash("one.tsv"));
  CHECK(hash("one.csv") == hash("other.csv"));
  CHECK(hash("one.csv.gz") == hash("one.csv"));
}

TEST_CASE("tasks whose files are named within the data folder keep their hash", "[task]") {
  const TextFolder data;
  data.lines("train.jsonl", {pair("a", "1"), pair("b", "2")});
  data.lines("test.jsonl", {pair("c", "3")});
  const EnvironmentVariable folder("ASSAY_DATA_DIR", data.path());
  const Json json = few_shot_definition({{"train", "train.jsonl"}, {"test", "test.jsonl"}});
  // From the definition and the files' contents.
  const auto bytes = [&](const char* name) {
    return hash_text(read_file(data.path() + "/" + name));
  };
  const std::string contents = Hasher().text(bytes("test.jsonl")).text(bytes("train.jsonl")).hex();
  CHECK(make_text_task("log_likelihood", json)->hash() ==
        Hasher().text("log_likelihood 2").text(canonical(json)).text(contents).hex());
}

TEST_CASE("suites name files in their folder; a limit and a number of examples change tasks",
          "[task]") {
  const TextFolder folder;
  folder.lines("pool.jsonl", {pair("a", "1"), pair("b", "2"), pair("c", "3")});
  Json task = few_shot_definition({{"train", "pool.jsonl"}, {"test", "pool.jsonl"}});
  task["name"] = "near";
  write_file(folder.path() + "/own.json",
             Json{{"summary", "s"}, {"kind", "log_likelihood"}, {"tasks", {task}}}.dump());
  const EnvironmentVariable suites("ASSAY_TASKS_DIR", folder.path());
  const auto plain = load_task("own/near");
  CHECK(plain->size(Split::kTest) == 3);
  CHECK(prompts(*plain).front() == "b 2|c 3|a");

  const auto changed = load_task("own/near", "a test", {.limit = 2, .few_shot = 1});
  const auto bare = load_task("own/near", "a test", {.few_shot = 0});
  CHECK(prompts(*changed) == std::vector<std::string>{"b 2|a", "a 1|b"});
  CHECK(prompts(*bare) == std::vector<std::string>{"a", "b", "c"});
  CHECK(changed->hash() != plain->hash());
  CHECK(load_task("own/near")->hash() == plain->hash());
  const auto items = changed->item_requests(Split::kTest);
  REQUIRE(items.size() == 2);
  CHECK(items[1].requests.likelihoods.at(0).context == "a 1|b");
  CHECK(items[1].target == "2");
}

TEST_CASE("a task's changes are its own, as data, and say which model's chats its prompts are",
          "[task]") {
  const TextFolder folder;
  folder.lines("pool.jsonl", {pair("a", "1"), pair("b", "2"), pair("c", "3")});
  Json tasks = Json::array();
  for (const char* name : {"near", "far"}) {
    tasks.push_back(few_shot_definition({{"train", "pool.jsonl"}, {"test", "pool.jsonl"}}));
    tasks.back()["name"] = name;
  }
  write_file(folder.path() + "/own.json",
             Json{{"summary", "s"}, {"kind", "log_likelihood"}, {"tasks", tasks}}.dump());
  const TemporaryFolder model;
  write_file(model.path() / "tokenizer_config.json",
             R"({"chat_template": "{% for m in messages %}<{{ m.content }}>{% endfor %}"})");
  const EnvironmentVariable suites("ASSAY_TASKS_DIR", folder.path());

  const TaskChanges chat{.limit = 1, .few_shot = 1, .chat = model.path().string()};
  CHECK(Json(chat).get<TaskChanges>() == chat);
  CHECK(Json(TaskChanges()).get<TaskChanges>() == TaskChanges());
  const auto loaded = load_tasks({{"own/near", chat}, {"own/far", {.limit = 2}}}, "a test");
  REQUIRE(loaded.size() == 2);
  CHECK(loaded[0]->changes() == chat);
  CHECK(loaded[1]->changes().limit == 2);
  CHECK(prompts(*loaded[0]) == std::vector<std::string>{"<b><2><a>"});
  CHECK(prompts(*loaded[1]).size() == 2);
  CHECK(load_task("own/near", "a test", {.limit = 1, .few_shot = 1})->hash() != loaded[0]->hash());
  CHECK_THROWS_WITH(load_tasks({{"own/*", chat}, {"own/far", {}}}, "a test"),
                    Contains("a test: the task 'own/far' is named twice"));
  CHECK(load_tasks({{"own/*", chat}, {"own/far", chat}}, "a test").size() == 2);
  CHECK_THROWS_WITH(load_task("own/far", "a test", {.chat = (model.path() / "none").string()}),
                    Contains("no chat template"));
}

TEST_CASE("all missing files are named in one message", "[task]") {
  const auto missing = [](const char* name) {
    return make_text_task("log_likelihood",
                          few_shot_definition({{"train", "no/train.jsonl"}, {"test", name}}));
  };
  CHECK_THROWS_WITH(check_splits({missing("one.jsonl"), missing("two.jsonl")}, Split::kTest),
                    Contains("one.jsonl") && Contains("two.jsonl") && Contains("train.jsonl"));
  CHECK(missing_text_files(Json{{"files", {{"test", {{"path", "x"}, {"labels", "y"}}}}}}).size() ==
        2);
}
