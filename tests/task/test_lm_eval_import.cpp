#include "harness/core/error.h"
#include "harness/task/lm_eval_import.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

fs::path folder() { return fs::path(ASSAY_TESTS_FOLDER) / "golden/lm_eval"; }

/// The texts of all requests of a task, as scripts/peers/lm_eval_goldens.py writes them.
Json request_texts(const Json& suite, Json definition) {
  for (auto& [split, path] : definition["dataset"]["files"].items())
    path = (folder() / path.get<std::string>()).string();
  definition.erase("name");
  const auto task = task_kinds().at(suite["kind"], "test")("test", JsonReader(definition, "test"));
  const TextRequests requests = task->requests(Split::kTest);
  Json texts = Json::array();
  for (const LikelihoodRequest& request : requests.likelihoods)
    texts.push_back({request.context, request.continuation});
  for (const GenerationRequest& request : requests.generations) texts.push_back({request.context});
  for (const RollingRequest& request : requests.rolling) texts.push_back({request.text});
  return texts;
}

std::string import_error(const std::string& yaml) {
  const TemporaryFolder place;
  write_file(place.path() / "t.yaml", "task: t\ndataset_path: x/y\ntest_split: test\n" + yaml);
  try {
    import_lm_eval(place.path() / "t.yaml", "t");
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("imported tasks ask what lm-evaluation-harness asks", "[task][import]") {
  const Json expected = read_json(folder() / "expected.json");
  const ImportedTasks imported = import_lm_eval(folder(), "like");
  CHECK(imported.notes.empty());
  size_t count = 0;
  for (const auto& [kind, suite] : imported.suites)
    for (const Json& definition : suite["tasks"]) {
      const std::string name = definition["name"];
      INFO(name);
      CHECK(request_texts(suite, definition) == expected.at(name));
      ++count;
    }
  CHECK(count == expected.size());
  CHECK(count == 10);
}

TEST_CASE("groups and tags are families, splits are the hub's files", "[task][import]") {
  const ImportedTasks imported = import_lm_eval(folder(), "like");
  std::map<std::string, Json> tasks;
  for (const auto& [kind, suite] : imported.suites)
    for (const Json& definition : suite["tasks"]) tasks[definition["name"]] = definition;
  CHECK(tasks["boolq_like"]["family"] == "school_like");
  CHECK(tasks["arc_like"]["family"] == "school");
  CHECK(tasks["sciq_like"]["label"] == 3);
  CHECK(tasks["arc_like"]["label_list"] == "indices");
  CHECK(tasks["gsm8k_like"]["metrics"] == Json{"strict_match", "flexible_match"});
  CHECK(tasks["trivia_like"]["ignore_punctuation"] == true);

  const TemporaryFolder place;
  write_file(place.path() / "t.yaml",
             "task: t\ndataset_path: org/set\ndataset_name: main\nvalidation_split: val\n"
             "training_split: train\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n"
             "num_fewshot: 2\n");
  const ImportedTasks hub = import_lm_eval(place.path() / "t.yaml", "t");
  const Json task = hub.suites.at("generation")["tasks"][0];
  CHECK(task["dataset"]["files"] == Json{{"test", "huggingface/org/set/main/val.jsonl"},
                                         {"train", "huggingface/org/set/main/train.jsonl"}});
  CHECK(task["few_shot"] == Json{{"count", 2}, {"split", "train"}, {"separator", "\n\n"}});
  CHECK(task["stop"] == Json{"\n\n"});
  REQUIRE(hub.notes.size() == 1);
  CHECK_THAT(hub.notes[0], Contains("lm-evaluation-harness draws them at random"));
}

TEST_CASE("what cannot be imported is refused with its line", "[task][import]") {
  const std::string plain = "doc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n";
  CHECK(import_error(plain).empty());
  CHECK_THAT(import_error("doc_to_text: !function utils.text\n"),
             Contains("t.yaml:4: 'doc_to_text': !function utils.text is Python"));
  CHECK_THAT(import_error(plain + "process_results: !function u.f\n"), Contains("t.yaml:6"));
  CHECK_THAT(import_error(plain + "gen_prefix: A\n"),
             Contains("'gen_prefix': this key cannot be imported"));
  CHECK_THAT(import_error(plain + "metric_list:\n  - metric: acc\n  - metric: bleu\n"),
             Contains("line 8: the metric 'bleu' cannot be imported"));
  CHECK_THAT(import_error(plain + "generation_kwargs: {do_sample: true}\n"),
             Contains("answers are greedy"));
  CHECK_THAT(import_error("doc_to_text: '{{q|nofilter}}'\ndoc_to_target: '{{a}}'\n"),
             Contains("unknown filter 'nofilter'"));
  CHECK_THAT(import_error(plain + "output_type: magic\n"), Contains("'magic' is not known"));
  CHECK_THAT(import_error(
                 plain + "metric_list:\n  - metric: exact_match\n    aggregation: !function u.f\n"),
             Contains("line 8: the aggregation of 'exact_match' is 'mean' here; '!function u.f'"));
  CHECK_THAT(import_error(plain + "metric_list: [{metric: exact_match, aggregation: median}]\n"),
             Contains("'median' cannot be imported"));
  CHECK_THAT(import_error(plain + "doc_to_choice: [a, b]\n"), Contains("only multiple_choice"));
  CHECK_THAT(import_error(plain + "dataset_kwargs:\n  data_files: t.json\n  field: data\n"),
             Contains("line 8: 'field' cannot be imported next to data_files"));
  CHECK(import_error(plain + "dataset_kwargs: {trust_remote_code: true}\n").empty());
}

TEST_CASE("answers keep their white space unless a filter strips them", "[task][import]") {
  const auto definition = [](const std::string& yaml) {
    const TemporaryFolder place;
    write_file(place.path() / "t.yaml",
               "task: t\ndataset_path: x/y\ntest_split: test\ndoc_to_text: '{{q}}'\n"
               "doc_to_target: answers\n" +
                   yaml);
    return Json(import_lm_eval(place.path() / "t.yaml", "t").suites.at("generation")["tasks"][0]);
  };
  CHECK(definition("")["strip"] == false);
  const Json stripped = definition(
      "filter_list: [{name: x, filter: [{function: remove_whitespace}, {function: take_first}]}]\n");
  CHECK(!stripped.contains("strip"));
  CHECK(stripped["metrics"] == Json{"exact_match"});
  CHECK(definition("generation_kwargs: {until: []}\n")["stop"] == Json::array());
  CHECK(definition("generation_kwargs: {max_gen_toks: 4}\n")["stop"] == Json{"\n\n"});
}

TEST_CASE("values of few-shot samples are those that PyYAML reads", "[task][import]") {
  const TemporaryFolder place;
  write_file(place.path() / "t.yaml",
             "task: t\ndataset_path: x/y\ntest_split: test\ndoc_to_text: '{{q}}'\n"
             "doc_to_target: '{{a}}'\nnum_fewshot: 1\nfewshot_config:\n  sampler: first_n\n"
             "  samples:\n    - {q: 1.50, a: True, b: '2.0', c: 1e5, d: 7}\n");
  const Json suite = import_lm_eval(place.path() / "t.yaml", "t").suites.at("generation");
  CHECK(suite["tasks"][0]["few_shot"]["items"][0] ==
        Json{{"q", 1.5}, {"a", true}, {"b", "2.0"}, {"c", "1e5"}, {"d", 7}});
}

TEST_CASE("GSM8K's filters are imported with what it ignores, not without", "[task][import]") {
  const std::string plain = "doc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n";
  const std::string filters =
      "filter_list: [{filter: [{function: regex, regex_pattern: '#### (\\-?[0-9\\.\\,]+)'}]}]\n";
  const std::string ignored =
      "metric_list:\n  - metric: exact_match\n"
      "    regexes_to_ignore: [',', '\\$', '(?s).*#### ', '\\.$']\n";
  CHECK(import_error(plain + filters + ignored).empty());
  CHECK_THAT(import_error(plain + filters), Contains("only together"));
  CHECK_THAT(import_error(plain + ignored), Contains("only with GSM8K's filters"));
  CHECK_THAT(import_error(plain + "metric_list: [{metric: exact_match, regexes_to_ignore: [x]}]\n"),
             Contains("only GSM8K's can be imported"));
}

TEST_CASE("groups may hold groups, but not change their tasks", "[task][import]") {
  const TemporaryFolder place;
  write_file(place.path() / "t.yaml",
             "task: t\ndataset_path: x/y\ntest_split: test\ndoc_to_text: '{{q}}'\n"
             "doc_to_target: '{{a}}'\n");
  const auto imported = [&](const std::string& member) {
    write_file(place.path() / "group.yaml", "group: all\ntask:\n" + member);
    return import_lm_eval(place.path(), "t").suites.at("generation")["tasks"][0];
  };
  CHECK(imported("  - group: inner\n    task: [t]\n")["family"] == "all");
  CHECK(imported("  - {task: t, task_alias: T}\n")["family"] == "all");
  CHECK_THROWS_WITH(imported("  - task: t\n    num_fewshot: 5\n"),
                    Contains("group.yaml:4: the group changes 'num_fewshot' of the task 't'"));
}
