#include "results/store.h"

#include <chrono>
#include <thread>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("A sweep is read back as it was stored", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "new" / "r.sqlite", put);

  const SweepResults got = Store::open_read_only(folder.path() / "new" / "r.sqlite").load_sweep("");

  CHECK(got.sweep.name == "tiny");
  CHECK(got.sweep.config == put.sweep.config);
  REQUIRE(got.sweep.found.size() == 1);
  CHECK(got.sweep.found[0].what == "sweep file");
  CHECK(got.sweep.found[0].name == "tiny.json");
  CHECK(got.sweep.found[0].path == "/sweeps/tiny.json");
  REQUIRE(got.sweep.sets.size() == 1);
  CHECK(got.sweep.sets[0].experts == put.sweep.sets[0].experts);
  REQUIRE(got.sweep.sets[0].tasks.size() == 3);
  CHECK(got.sweep.sets[0].tasks[1].own_expert == "h2");
  CHECK_FALSE(got.sweep.sets[0].tasks[2].held_in);
  CHECK_FALSE(got.started_at.empty());
  CHECK_FALSE(got.finished_at.empty());
  REQUIRE(got.checkpoints.size() == 3);
  CHECK(got.checkpoints[1].origin == put.checkpoints[1].origin);
  CHECK(got.checkpoints[2].origin.is_null());
  REQUIRE(got.tasks.size() == 3);
  CHECK(got.tasks[2].definition == put.tasks[2].definition);
  REQUIRE(got.methods.size() == 1);
  CHECK(got.methods[0].needs == put.methods[0].needs);
  REQUIRE(got.environments.size() == 1);
  CHECK(got.environments[0].cpu == "a processor");
  CHECK(got.environments[0].threads == 2);

  REQUIRE(got.runs.size() == 4);
  const RunRecord &run = got.runs[3].run, &original = put.runs[3].run;
  CHECK(got.runs[3].placement.row == "average");
  CHECK(run.parameters == original.parameters);
  CHECK(run.experts == original.experts);
  CHECK(run.base == "h0");
  REQUIRE(run.scores.size() == 3);
  CHECK(run.scores[1].outcomes == original.scores[1].outcomes);
  CHECK(run.scores[1].value == original.scores[1].value);
  CHECK(*run.costs.at("merge").wall_s == 1.5);
  CHECK(*run.costs.at("merge").flops == 1000);
  CHECK_FALSE(run.costs.at("merge").device_s);
}

TEST_CASE("A sweep whose config is no object is read back", "[results]") {
  const TemporaryFolder folder;
  SweepResults put = fake::results();
  put.sweep.config = Json::array({1});
  put.sweep.found.clear();
  fill_store(folder.path() / "r.sqlite", put);

  const SweepResults got = Store::open_read_only(folder.path() / "r.sqlite").load_sweep("");

  CHECK(got.sweep.config == put.sweep.config);
  CHECK(got.sweep.found.empty());
}

TEST_CASE("Fractional outcomes, large seeds and unusual text are stored exactly", "[results]") {
  TemporaryFolder folder;
  SweepResults put = fake::results();
  put.runs[3].run.scores[0].outcomes = {0.1, 1.0 / 3, 1e-20, 1e200};
  put.runs[3].run.seed = ~uint64_t{0};
  put.runs[3].placement.row = "it's \"quoted\"; DROP TABLE runs; --";
  fill_store(folder.path() / "r.sqlite", put);

  const SweepResults got = Store::open_read_only(folder.path() / "r.sqlite").load_sweep("tiny");

  CHECK(got.runs[3].run.scores[0].outcomes == put.runs[3].run.scores[0].outcomes);
  CHECK(got.runs[3].run.seed == ~uint64_t{0});
  CHECK(got.runs[3].placement.row == put.runs[3].placement.row);
}

TEST_CASE("A run is found by its key; a failed one is replaced and keeps its placements",
          "[results]") {
  TemporaryFolder folder;
  SweepResults put = fake::results();
  const RunRecord good = put.runs[3].run;
  put.runs[3].run.status = RunStatus::kFailed;
  put.runs[3].run.reason = "NaN in 'w'";
  put.runs[3].run.scores.clear();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  CHECK_FALSE(store.find_run("no such key"));
  CHECK(store.find_run("k-average")->status == RunStatus::kFailed);
  CHECK(store.find_run("k-average")->reason == "NaN in 'w'");

  store.put_run(good, put.environments[0]);

  const auto found = store.find_run("k-average");
  CHECK(found->status == RunStatus::kOk);
  CHECK(found->scores.size() == 3);
  CHECK(found->scores[0].outcomes.empty());  // not loaded
  CHECK(store.load_sweep("").runs.size() == 4);
  CHECK(store.load_sweep("").runs[3].run.status == RunStatus::kOk);
  RunRecord late = good;
  late.status = RunStatus::kFailed;
  late.reason = "out of memory";
  CHECK_FALSE(store.put_run(late, put.environments[0]));  // another process's result is kept
  CHECK(store.find_run("k-average")->status == RunStatus::kOk);
}

TEST_CASE("Statistics are stored once, with what they cost, and runs refer to them", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  SweepResults put = fake::results();
  put.statistics = {
      {"s-1", "input_gram", 2, {{"storage", "float32"}}, "h1", {{"split", "test"}}, 512, {}},
      {"s-2", "input_gram", 2, {{"storage", "float32"}}, "h2", {{"split", "test"}}, 256, {}},
      {"s-3", "input_gram", 2, {{"storage", "float64"}}, "h2", {{"split", "test"}}, 99, {}}};
  put.statistics[0].cost = fake::cost(4);
  put.runs[3].run.statistics = {"s-1", "s-2"};
  put.runs[3].run.calibration = {{"split", "test"}, {"examples", 8}};
  fill_store(path, put);
  Store store = Store::open(path);
  StatisticRecord again = put.statistics[0];
  again.cost = fake::cost(9);
  store.put_statistic(again);  // the stored one is kept

  const SweepResults got = store.load_sweep("");

  REQUIRE(got.statistics.size() == 2);  // the third is not used
  CHECK(got.statistics[0].key == "s-1");
  CHECK(got.statistics[0].name == "input_gram");
  CHECK(got.statistics[0].version == 2);
  CHECK(got.statistics[0].parameters == put.statistics[0].parameters);
  CHECK(got.statistics[0].checkpoint == "h1");
  CHECK(got.statistics[0].data == put.statistics[0].data);
  CHECK(got.statistics[0].bytes == 512);
  CHECK(got.statistics[0].cost.wall_s == 4.0);
  CHECK_FALSE(got.statistics[1].cost.wall_s);
  CHECK(got.runs[3].run.statistics == put.runs[3].run.statistics);
  CHECK(got.runs[3].run.calibration == put.runs[3].run.calibration);
  CHECK(got.runs[2].run.calibration.is_null());
  RunRecord run = put.runs[3].run;
  run.key = "unknown statistic";
  run.statistics = {"s-4"};
  CHECK_THROWS_WITH(store.put_run(run, put.environments[0]), Contains("'s-4'"));
}

TEST_CASE("A run is stored completely or not at all", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  RunRecord bad = put.runs[3].run;
  bad.key = "k-bad";
  SECTION("a score above one") { bad.scores[2].value = 1.5; }
  SECTION("a score that is not a number") { bad.scores[2].value = NAN; }
  SECTION("an unknown task") { bad.scores[2].task = "d"; }
  SECTION("an unknown expert") { bad.experts[1] = "h9"; }
  SECTION("an unknown method") { bad.method = "nothing"; }
  SECTION("a failure without a reason") { bad.status = RunStatus::kFailed; }
  SECTION("a kind that is not stored") { bad.kind = RunKind::kModel; }

  CHECK_THROWS_AS(store.put_run(bad, put.environments[0]), DataError);

  CHECK_FALSE(store.find_run("k-bad"));
  bad = put.runs[3].run;
  bad.key = "k-bad";
  store.put_run(bad, put.environments[0]);  // the store still works
  CHECK(store.find_run("k-bad"));
}

TEST_CASE("The same sweep again is the same record; impossible placements are deleted",
          "[results]") {
  TemporaryFolder folder;
  SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  const std::string finished = store.load_sweep("").finished_at;
  REQUIRE_FALSE(finished.empty());
  std::vector<PlacedKey> places;
  for (const auto& placed : put.runs) places.push_back({placed.run.key, placed.placement});

  const int64_t id = store.put_sweep(put.sweep);
  store.start_sweep(id, places);

  // As complete as before, if this execution never ends.
  CHECK(store.load_sweep("").finished_at == finished);
  CHECK(store.load_sweep("").runs.size() == 4);
  store.finish_sweep(id, places, SweepEnd::kUnchanged);
  CHECK(store.load_sweep("").finished_at == finished);

  places.pop_back();
  store.start_sweep(id, places);
  CHECK(store.load_sweep("").finished_at.empty());
  CHECK(store.load_sweep("").runs.size() == 3);
  store.finish_sweep(id, places, SweepEnd::kPart);
  CHECK(store.load_sweep("").finished_at.empty());
  store.start_sweep(id, {});
  CHECK(store.load_sweep("").runs.empty());
  const PlacedKey base{"k-base", {"s", "base", "reference"}};
  store.place_runs(id, {base, base});
  CHECK(store.load_sweep("").runs.size() == 1);
  CHECK_THROWS_AS(store.place_runs(id, {{"k-none", {"s", "base", "reference"}}}), DataError);
  CHECK_THROWS_AS(store.place_runs(id, {{"k-base", {"t", "base", "reference"}}}), DataError);

  put.sweep.hash = "another";
  put.sweep.name = "second";
  CHECK(store.put_sweep(put.sweep) != id);
  CHECK(store.sweep_names() == std::vector<std::string>{"second", "tiny"});
  CHECK(store.load_sweep("").sweep.name == "second");
  store.put_sweep(fake::results().sweep);  // executed again: now the most recent
  CHECK(store.load_sweep("").sweep.name == "tiny");
}

TEST_CASE("A sweep whose choices change while it runs is unfinished and keeps its start",
          "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  const int64_t id = store.put_sweep(put.sweep);
  std::vector<PlacedKey> places;
  for (const auto& placed : put.runs) places.push_back({placed.run.key, placed.placement});
  const std::string finished = store.load_sweep("").finished_at;

  store.narrow_sweep(id, places);
  CHECK(store.load_sweep("").finished_at == finished);
  places.pop_back();
  store.narrow_sweep(id, places);
  CHECK(store.load_sweep("").finished_at.empty());
  CHECK(store.load_sweep("").runs.size() == 3);
  const std::string started = store.load_sweep("").started_at;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the resolution of stored times
  places.pop_back();
  store.narrow_sweep(id, places);
  CHECK(store.load_sweep("").runs.size() == 2);
  CHECK(store.load_sweep("").started_at == started);
}

TEST_CASE("A changed task keeps its old scores separate", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  TaskRecord changed = put.tasks[0];
  changed.hash = "new-hash";
  changed.test_items = 9;

  store.put_task(changed);
  CHECK(store.load_sweep("").tasks[0].hash == "task-hash-a");  // as the sweep was run
  store.put_sweep(put.sweep);
  CHECK(store.load_sweep("").tasks.size() == 3);
  CHECK(store.load_sweep("").tasks[0].hash == "new-hash");
}

TEST_CASE("Scores refer to the version of a task that their process stored", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store store = Store::open(folder.path() / "r.sqlite");
  for (const TaskRecord& task : put.tasks) store.put_task(task);
  TaskRecord changed = put.tasks[0];
  changed.hash = "new-hash";
  Store other = Store::open(folder.path() / "r.sqlite");
  other.put_task(changed);  // now the current one

  RunRecord run = put.runs[3].run;
  run.key = "k-old-task";
  store.put_run(run, put.environments[0]);

  SQLite::Database database((folder.path() / "r.sqlite").string());
  CHECK(database
            .execAndGet("SELECT t.hash FROM scores s JOIN tasks t ON t.id = s.task JOIN runs r ON "
                        "r.id = s.run WHERE r.key = 'k-old-task' AND t.name = 'a'")
            .getString() == "task-hash-a");
}

TEST_CASE("Unknown sweeps and empty stores are clear errors", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  CHECK_THROWS_WITH(Store::open(path).load_sweep(""), Contains("no sweep yet"));
  fill_store(path, fake::results());
  CHECK_THROWS_AS(Store::open(path).load_sweep("tinny"), UserError);
  CHECK_THROWS_WITH(Store::open(path).load_sweep("tinny"), Contains("Did you mean 'tiny'?"));
}
