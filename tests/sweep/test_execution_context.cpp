#include "harness/sweep/execution_context.h"

#include <ATen/ATen.h>

#include <chrono>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/method/method.h"
#include "harness/model/architecture.h"
#include "harness/sweep/run_cell.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

ModelRef write_model(const test::BlobHome& home, const std::string& name, uint64_t seed) {
  const fs::path folder = home.folder() / name;
  const Json config = test::blob_recipe()["architecture"];
  const auto network = make_architecture(JsonReader(config, "config.json"));
  write_checkpoint(folder, network->initial_weights(seed), {network->config(), Json(), "", {}},
                   false);
  return model_ref(*Checkpoint::open(folder));
}

Cell merge_of(const std::vector<ModelRef>& experts) {
  Cell cell;
  cell.kind = CellKind::kMerge;
  cell.record_kind = RunKind::kMerge;
  cell.method = "average";
  cell.parameters = make_method("average", JsonReader(Json::object(), "$"))->parameters();
  cell.experts = experts;
  cell.tasks = {{"blobs/a", load_task("blobs/a")->hash()}};
  return cell;
}

std::vector<double> outcomes(ExecutionContext& context, const Cell& cell) {
  const RunRecord record = run_cell(context, cell);
  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  return record.scores.at(0).outcomes;
}

}  // namespace

TEST_CASE("a context keeps a checkpoint open while its files stay", "[sweep]") {
  const test::BlobHome home;
  ModelRef model = write_model(home, "m", 1);
  ExecutionContext context, other;
  auto opened = context.open(model);

  CHECK(context.open(model) == opened);
  CHECK(other.open(model) != opened);
  const fs::path weights = home.folder() / "m" / "model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::seconds(1));
  const std::weak_ptr<const Checkpoint> before = std::exchange(opened, nullptr);
  CHECK(context.open(model)->content_hash() == model.hash);
  CHECK(before.expired());
  model.hash = "another";
  CHECK_THROWS_AS(context.open(model), DataError);
}

TEST_CASE("contexts share nothing, and scores do not depend on what they hold", "[sweep]") {
  const test::BlobHome home;
  const ModelRef one = write_model(home, "one", 1), two = write_model(home, "two", 2);
  const Cell first = merge_of({one}), both = merge_of({one, two});
  ExecutionContext alone, used, without_cache(CacheBudget{.bytes = 0});

  CHECK(&used.on(at::kCPU) == &used.on(at::kCPU));
  CHECK(&used.on(at::kCPU) != &alone.on(at::kCPU));
  const auto expected = outcomes(alone, both);
  CHECK(outcomes(used, first) != expected);
  CHECK(outcomes(used, both) == expected);
  CHECK(outcomes(without_cache, both) == expected);
}

TEST_CASE("changes of tasks hold in the cells that have them", "[sweep]") {
  const test::BlobHome home;
  const Cell usual = merge_of({write_model(home, "m", 1)});
  Cell limited = usual;
  limited.tasks.front().changes.limit = 1;
  ExecutionContext context;

  CHECK_THAT(run_cell(context, limited).reason, Contains("a limit and few-shot examples"));
  CHECK(run_cell(context, usual).status == RunStatus::kOk);
}
