#include <chrono>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/method/method.h"
#include "harness/model/architecture.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/sweep/run_alone.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

ModelRef blob_model(const fs::path& folder) {
  const Json config = test::blob_recipe()["architecture"];
  const auto network = make_architecture(JsonReader(config, "config.json"));
  write_checkpoint(folder, network->initial_weights(1), {network->config(), Json(), "", {}}, false);
  return model_ref(*Checkpoint::open(folder));
}

Cell scored_on(const ModelRef& model, const std::vector<std::string>& tasks) {
  Cell cell;
  cell.record_kind = RunKind::kBase;
  cell.experts = {model};
  for (const std::string& task : tasks) cell.tasks.push_back({task, load_task(task)->hash()});
  return cell;
}

}  // namespace

TEST_CASE("a task that fails leaves the other scores of its cell", "[sweep]") {
  const test::BlobHome home;
  const Cell cell =
      scored_on(blob_model(home.folder() / "m"), {"blobs/a", "blobs/unreadable", "blobs/b"});

  std::exception_ptr error;
  const RunRecord record = test::run_alone(cell, &error);

  CHECK_FALSE(cell.experts.front().settled);
  CHECK(record.status == RunStatus::kFailed);
  CHECK(record.reason == "1 of 3 tasks failed; blobs/unreadable: its third item is unreadable");
  REQUIRE(record.scores.size() == 2);
  CHECK((record.scores[0].task == "blobs/a" && record.scores[1].task == "blobs/b"));
  CHECK((record.scores[0].primary && record.scores[1].primary));
  CHECK(record.costs.contains("evaluation"));
  REQUIRE(error);
  CHECK_THROWS_AS(std::rethrow_exception(error), DataError);
  const RunRecord alone = test::run_alone(scored_on(cell.experts.front(), {"blobs/b"}));
  CHECK(alone.status == RunStatus::kOk);
  CHECK(alone.scores[0].outcomes == record.scores[1].outcomes);
}

TEST_CASE("what fails before the tasks leaves no scores", "[sweep]") {
  const test::BlobHome home;
  Cell cell = scored_on(blob_model(home.folder() / "m"), {"blobs/a"});
  Cell typed = cell;
  typed.dtype = at::kBFloat16;
  CHECK_THAT(test::run_alone(typed).reason, Contains("a dtype is for models of text"));
  cell.experts.front().hash = "another";

  std::exception_ptr error;
  const RunRecord record = test::run_alone(cell, &error);

  CHECK(record.status == RunStatus::kFailed);
  CHECK(record.scores.empty());
  CHECK_THROWS_AS(std::rethrow_exception(error), DataError);
}

TEST_CASE("weights that are what they were are read again", "[sweep]") {
  const test::BlobHome home;
  Cell cell = scored_on(blob_model(home.folder() / "m"), {"blobs/a"});
  SECTION("scored") {}
  SECTION("merged") {
    cell.kind = CellKind::kMerge;
    cell.record_kind = RunKind::kMerge;
    cell.method = "average";
    cell.parameters = make_method("average", JsonReader(Json::object(), "$"))->parameters();
  }
  const fs::path weights = home.folder() / "m" / "model.safetensors";
  const std::string whole = read_file(weights);
  // A clock's tick may be longer than the test.
  const auto replace = [&](const std::string& bytes) {
    const auto before = fs::last_write_time(weights);
    write_file(weights, bytes);
    fs::last_write_time(weights, before + std::chrono::seconds(1));
  };
  const auto planned = Checkpoint::open(home.folder() / "m");  // a sweep keeps what it planned with
  ExecutionContext context;
  const RunRecord before = run_cell(context, cell);
  REQUIRE(before.status == RunStatus::kOk);

  std::string other = whole;
  other.back() ^= 1;
  replace(other);
  CHECK_THAT(run_cell(context, cell).reason, Contains("the weights changed since"));
  replace(whole);
  const RunRecord after = run_cell(context, cell);

  INFO(after.reason);
  CHECK(after.status == RunStatus::kOk);
  CHECK(after.scores.at(0).outcomes == before.scores.at(0).outcomes);
  replace(whole);
  CHECK(run_cell(context, cell).status == RunStatus::kOk);
}

TEST_CASE("a task whose definition changed fails alone", "[sweep]") {
  const test::BlobHome home;
  Cell cell = scored_on(blob_model(home.folder() / "m"), {"blobs/a", "blobs/b"});
  cell.tasks[0].hash = "another";

  const RunRecord record = test::run_alone(cell);

  CHECK_THAT(record.reason, Contains("blobs/a") && Contains("changed"));
  REQUIRE(record.scores.size() == 1);
  CHECK(record.scores[0].task == "blobs/b");
}

TEST_CASE("the store keeps a failed cell's scores until it is tried again", "[sweep]") {
  const test::BlobHome home;
  const Cell cell = scored_on(blob_model(home.folder() / "m"), {"blobs/a", "blobs/unreadable"});
  RunRecord record = test::run_alone(cell);
  Store store = Store::open(home.folder() / "r.sqlite");
  store.put_checkpoint({cell.experts.front().hash, "m", "m", "base", Json()});
  for (const TaskRef& task : cell.tasks) store.put_task({task.name, task.hash, {}, 20, 20});

  store.put_run(record, {});
  const auto kept = store.find_run(cell.key());
  store.put_run(result_from_json(cell, result_to_json(record)), {});  // as from a worker

  REQUIRE(kept);
  CHECK(kept->status == RunStatus::kFailed);
  REQUIRE(kept->scores.size() == 1);
  CHECK(kept->scores[0].value == record.scores[0].value);
  CHECK(store.find_run(cell.key())->scores.size() == 1);
}
