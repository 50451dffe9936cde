#include "harness/sweep/executor.h"

#include <ATen/Parallel.h>

#include "tests/catch.h"

using namespace assay;

namespace {

Cell cell_with_seed(uint64_t seed) {
  Cell cell;
  cell.kind = "merge";
  cell.record_kind = "merge";
  cell.method = "average";
  cell.seed = seed;
  cell.split = "test";
  cell.device = "cpu";
  return cell;
}

std::vector<RunRecord> run(int workers, const std::string& script, size_t cells) {
  std::vector<Cell> todo;
  for (size_t i = 0; i < cells; ++i) todo.push_back(cell_with_seed(i));
  std::vector<RunRecord> records(cells);
  local_workers_executor(workers, {"sh", "-c", script})
      ->run(todo, [&](size_t index, RunRecord record) { records.at(index) = std::move(record); });
  return records;
}

constexpr const char* kAnswer =
    R"(echo '{"status":"ok","reason":"","diagnostics":{},"costs":{},"scores":[]}')";

}  // namespace

TEST_CASE("every cell gets its answer from some worker", "[sweep]") {
  const std::string script = fmt::format("while read cell; do {}; done", kAnswer);

  const auto records = run(3, script, 10);

  for (size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].status == RunStatus::kOk);
    CHECK(records[i].key == cell_with_seed(i).key());
  }
}

TEST_CASE("a worker that dies fails its cell only and is replaced", "[sweep]") {
  const std::string script = fmt::format(
      "while read cell; do case \"$cell\" in *'\"seed\":2'*) kill -SEGV $$;; esac; {}; done",
      kAnswer);

  const auto records = run(2, script, 6);

  for (size_t i = 0; i < records.size(); ++i) {
    INFO("cell " << i);
    if (i != 2) CHECK(records[i].status == RunStatus::kOk);
  }
  CHECK(records[2].status == RunStatus::kFailed);
  CHECK_THAT(records[2].reason, Catch::Contains("signal 11"));
}

TEST_CASE("a worker that cannot work at all fails every cell with the reason", "[sweep]") {
  for (const RunRecord& record : run(1, "exit 3", 2)) {
    CHECK(record.status == RunStatus::kFailed);
    CHECK_THAT(record.reason, Catch::Contains("exit code 3"));
  }
}

TEST_CASE("workers share the threads of this process", "[sweep]") {
  const int threads = at::get_num_threads();

  CHECK(local_workers_executor(1, {"true"})->threads() == threads);
  CHECK(local_workers_executor(2, {"true"})->threads() == std::max(1, threads / 2));
  CHECK(local_workers_executor(1000, {"true"})->threads() == 1);
  CHECK(in_process_executor()->threads() == threads);
}

TEST_CASE("a cell's key depends on all that determines its scores", "[sweep]") {
  Cell cell = cell_with_seed(0);
  cell.parameters = {{"a", 1}};
  cell.base = {"/base", "h0"};
  cell.experts = {{"/x", "h1"}, {"/y", "h2"}};
  cell.tasks = {{"t", "h3"}};
  const std::string key = cell.key();

  CHECK(Json(cell).get<Cell>().key() == key);
  const auto changed = [&](const std::function<void(Cell&)>& change) {
    Cell other = cell;
    change(other);
    return other.key() != key;
  };
  CHECK(changed([](Cell& c) { c.parameters["a"] = 2; }));
  CHECK(changed([](Cell& c) { c.seed = 1; }));
  CHECK(changed([](Cell& c) { c.base.hash = "other"; }));
  CHECK(changed([](Cell& c) { std::swap(c.experts[0], c.experts[1]); }));
  CHECK(changed([](Cell& c) { c.experts[0].computation = "other"; }));
  CHECK(changed([](Cell& c) { c.tasks[0].hash = "other"; }));
  CHECK(changed([](Cell& c) { c.split = "validation"; }));
  CHECK(changed([](Cell& c) { c.method = "linear"; }));
  CHECK(changed([](Cell& c) { c.device = "cuda:0"; }));
  // Where a checkpoint lies does not matter, nor which of equal devices is used.
  CHECK_FALSE(changed([](Cell& c) { c.experts[0].path = "/elsewhere"; }));
  CHECK_FALSE(changed([](Cell& c) { c.base.path = "/elsewhere"; }));
}
