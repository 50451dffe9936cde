/// What is refused or skipped when a sweep is planned, before a model is run.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "harness/sweep/describe.h"
#include "harness/sweep/internal/choosing.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// The blob tasks, and text tasks with files for some splits only.
class MixedTasks {
 public:
  MixedTasks() {
    write_file(file("items.jsonl"), "{\"q\": \"1 + 1 =\", \"a\": \"2\"}\n");
    write_file(file("text.txt"), "Some text.");
    suite("likely", "log_likelihood",
          {{{"name", "tested"}, {"dataset", files({"test"}, "items.jsonl")}},
           {{"name", "untested"}, {"dataset", files({"train", "validation"}, "items.jsonl")}},
           {{"name", "absent"}, {"dataset", files({"validation", "test"}, "none.jsonl")}}},
          {{"prompt", "{{q}}"}, {"target", "{{a}}"}});
    suite("texts", "perplexity",
          {{{"name", "short"}, {"dataset", files({"validation", "test"}, "text.txt")}}},
          Json::object());
  }

  /// Tuned over `scales`, or not.
  ResolvedSweep resolve(const std::vector<std::string>& tasks, const std::vector<double>& scales,
                        const std::vector<std::string>& experts = {"x", "y"},
                        const Json& trained_on = Json()) const {
    const Json method = scales.empty()
                            ? Json("average")
                            : Json{{"method", "task_arithmetic"}, {"tune", {{"scale", scales}}}};
    const Json json = {{"name", "mixed"},
                       {"tasks", tasks},
                       {"base", "base"},
                       {"expert_sets", {{{"name", "set"}, {"experts", experts}}}},
                       {"trained_on", trained_on.is_null() ? Json{{"x", tasks}} : trained_on},
                       {"methods", {method}}};
    write_file(file("sweep.json"), json.dump());
    return resolve_sweep(SweepFile::read(file("sweep.json")), {at::kCPU}, Missing::kTrain);
  }

  void write_models() const {
    const Json config = test::blob_recipe()["architecture"];
    const auto network = make_architecture(JsonReader(config, "config.json"));
    for (const std::string name : {"base", "x", "y"})
      write_checkpoint(file(name), network->initial_weights(name.front()),
                       {network->config(), Json(), "", {}}, false);
  }

  fs::path file(const std::string& name) const { return home_.folder() / name; }

 private:
  Json files(const std::vector<std::string>& splits, const std::string& name) const {
    Json files = Json::object();
    for (const std::string& split : splits) files[split] = file(name).string();
    return {{"files", files}};
  }
  void suite(const std::string& name, const std::string& kind, const Json& tasks,
             const Json& shared) const {
    const Json json = {{"summary", "s"}, {"kind", kind}, {"shared", shared}, {"tasks", tasks}};
    write_file(file("tasks/" + name + ".json"), json.dump());
  }

  test::BlobHome home_;
};

}  // namespace

TEST_CASE("a task without data to score is refused before a model is opened", "[sweep]") {
  const MixedTasks mixed;  // there are no models: they would be the next complaint

  CHECK_THROWS_WITH(
      mixed.resolve({"blobs/a", "likely/untested"}, {}),
      Contains("'likely/untested' has no test split") && Contains("train, validation"));
  CHECK_THROWS_AS(mixed.resolve({"blobs/a", "likely/absent"}, {}), DataError);
  CHECK_THROWS_WITH(mixed.resolve({"blobs/a", "likely/tasted"}, {}),
                    Contains("'likely/tasted' in ") && Contains("sweep.json: tasks. Did you mean"));
  CHECK_THROWS_WITH(mixed.resolve({"likely/absent"}, {}), Contains("none.jsonl"));
  CHECK_THROWS_WITH(mixed.resolve({"blobs/a", "likely/tested"}, {}), Contains("base"));
}

TEST_CASE("what is tuned needs validation data", "[sweep]") {
  const MixedTasks mixed;
  mixed.write_models();

  CHECK_THROWS_WITH(mixed.resolve({"blobs/a", "likely/tested"}, {0.5, 1}),
                    Contains("'task_arithmetic' cannot be tuned for the set 'set'") &&
                        Contains("'likely/tested' has no validation split") && Contains("test"));
  CHECK(plan_sweep(mixed.resolve({"texts/short"}, {0.5, 1})).choices.size() == 2);
  CHECK(plan_sweep(mixed.resolve({"blobs/a", "blobs/b"}, {0.5, 1})).choices.size() == 2);
}

TEST_CASE("without tuning only the best expert is left out, with the reason", "[sweep]") {
  const MixedTasks mixed;
  mixed.write_models();
  const ResolvedSweep sweep = mixed.resolve({"blobs/a", "likely/tested"}, {});
  const Plan plan = plan_sweep(sweep);

  CHECK(plan.choices.empty());
  Store store = Store::open(mixed.file("r.sqlite"));
  const SweepSummary summary = run_sweep(sweep, plan, store, *in_process_executor(), {});

  CHECK(summary.skipped == 1);
  // The models are no language models: the other task fails and leaves the scores of blobs/a.
  CHECK(summary.failed == summary.ran - 1);
  CHECK(summary.partly == summary.failed);
  for (const auto& placed : store.load_sweep("mixed").runs) {
    INFO(placed.placement.row);
    if (placed.placement.row == "best expert") {
      CHECK(placed.run.status == RunStatus::kSkipped);
      CHECK_THAT(placed.run.reason, Contains("'likely/tested' has no validation split"));
      continue;
    }
    CHECK_THAT(placed.run.reason, Contains("1 of 2 tasks failed; likely/tested: "));
    REQUIRE(placed.run.scores.size() == 1);
    CHECK(placed.run.scores[0].task == "blobs/a");
  }
}

TEST_CASE("scores of different kinds choose by their multiples of the own expert's", "[sweep]") {
  const MixedTasks mixed;
  mixed.write_models();
  const ResolvedSweep sweep = mixed.resolve({"blobs/a", "texts/short"}, {0.5, 1}, {"x", "y"},
                                            {{"x", {"blobs/a"}}, {"y", {"texts/short"}}});
  const Plan plan = plan_sweep(sweep);
  REQUIRE(plan.choices.size() == 2);
  Store store = Store::open(mixed.file("r.sqlite"));
  for (const auto& [name, model] : sweep.models) store.put_checkpoint(checkpoint_record(model));
  for (const auto& task : sweep.tasks) store.put_task(task_record(*task));
  store.put_method(method_record("task_arithmetic"));
  const auto put = [&](const PlannedCell& planned, double accuracy, double perplexity) {
    RunRecord record = empty_record(planned.cell);
    record.scores = {{"blobs/a", "validation", "acc", true, accuracy, {}},
                     {"texts/short", "validation", "word_perplexity", true, perplexity, {}},
                     {"texts/short", "validation", "bits_per_byte", false, 1, {}}};
    store.put_run(record, {});
  };

  // Relative to the experts' below: 0.4 / 0.8 and 10 / 8 have the mean 0.875, 0.9 and 1 have 0.95.
  // The means of the scores themselves, -3.8 and -4.64, would choose the other one.
  Choosing tuning(plan.choices.at(1));
  REQUIRE(tuning.open().size() == 2);
  put(tuning.open()[0], 0.4, 8);
  put(tuning.open()[1], 0.72, 10);
  CHECK_FALSE(Choosing::replay(plan.choices.at(1), &store).winner());  // no expert's run is there

  // Relative to their own: 0.8 / 0.8 and 10 / 20 against 0.2 / 0.8 and 10 / 10.
  Choosing best(plan.choices.at(0));
  REQUIRE(best.open().size() == 2);
  put(best.open()[0], 0.8, 20);
  put(best.open()[1], 0.2, 10);
  best.advance(store);
  REQUIRE(best.winner());
  CHECK(best.winner()->cell.experts.at(0).path == sweep.models.at("x").ref.path);
  tuning.advance(store);
  REQUIRE(tuning.winner());
  CHECK(tuning.winner()->cell.parameters["scale"] == 1);
  CHECK(Choosing::replay(plan.choices.at(1), &store).winner());
}

TEST_CASE("a set of one expert runs it on validation where others are relative to it", "[sweep]") {
  const MixedTasks mixed;
  mixed.write_models();
  const ResolvedSweep sweep = mixed.resolve({"blobs/a", "texts/short"}, {0.5, 1}, {"x"});
  const Plan plan = plan_sweep(sweep);
  REQUIRE(plan.choices.size() == 2);
  REQUIRE(plan.choices[0].budget == 1);
  const std::string key = Choosing(plan.choices[0]).open().at(0).cell.key();
  const std::map<std::string, std::string> both = {{"blobs/a", key}, {"texts/short", key}};
  CHECK(plan.choices[1].relative_to == both);
}

TEST_CASE("one candidate is chosen without validation data", "[sweep]") {
  const MixedTasks mixed;
  mixed.write_models();
  const ResolvedSweep sweep = mixed.resolve({"blobs/a", "likely/tested"}, {0.25}, {"x"});
  const Plan plan = plan_sweep(sweep);

  CHECK(plan.choices.empty());
  std::map<std::string, const PlannedCell*> rows;
  for (const PlannedCell& planned : plan.fixed)
    rows[planned.placement.row + " " + planned.placement.variant] = &planned;
  REQUIRE(rows.contains("task_arithmetic tuned"));
  CHECK(rows["task_arithmetic tuned"]->cell.parameters["scale"] == 0.25);
  CHECK(rows["task_arithmetic tuned"]->cell.split == Split::kTest);
  CHECK(rows["task_arithmetic default"]->cell.parameters["scale"] != 0.25);
  CHECK(rows["best expert reference"]->cell.key() == rows["x reference"]->cell.key());
  CHECK_FALSE(rows["best expert reference"]->unmet);
}

TEST_CASE("few-shot examples come from a split that has files", "[task]") {
  const MixedTasks mixed;
  const Json definition = {{"dataset", {{"files", {{"test", mixed.file("items.jsonl").string()}}}}},
                           {"prompt", "{{q}}"},
                           {"target", "{{a}}"},
                           {"few_shot", {{"split", "train"}, {"count", 1}}}};
  CHECK_THROWS_WITH(task_kinds().at("log_likelihood", "a test")("t", JsonReader(definition, "$")),
                    Contains("$.few_shot.split") && Contains("files for test only"));
}

TEST_CASE("definitions of tasks are listed without their data", "[task]") {
  const MixedTasks mixed;
  write_file(mixed.file("tasks/odd.json"),
             R"({"summary": "s", "kind": "perplexity", "shared": {"a": 1, "b": 2},
                 "tasks": [{"name": "no-data", "b": 3}]})");
  bool seen = false;
  for (const auto& [name, definition] : task_definitions()) {
    if (name != "odd/no-data") continue;
    seen = true;
    CHECK(definition == Json{{"a", 1}, {"b", 3}});
  }
  CHECK(seen);
}
