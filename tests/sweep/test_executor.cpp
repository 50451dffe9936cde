#include "harness/sweep/executor.h"

#include <ATen/Parallel.h>

#include <sstream>

#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;

namespace {

Cell cell_with_seed(uint64_t seed) {
  Cell cell;
  cell.kind = CellKind::kMerge;
  cell.record_kind = RunKind::kMerge;
  cell.method = "average";
  cell.seed = seed;
  return cell;
}

std::vector<RunRecord> run_cells(int workers, const std::string& script, size_t cells) {
  std::vector<Cell> todo;
  for (size_t i = 0; i < cells; ++i) todo.push_back(cell_with_seed(i));
  std::vector<RunRecord> records(cells);
  local_workers_executor(workers, {"sh", "-c", script})
      ->run(todo, [&](size_t index, RunRecord record) { records.at(index) = std::move(record); });
  return records;
}

constexpr const char* kResult =
    R"({"status":"ok","reason":"","diagnostics":{},"costs":{},"scores":[]})";

/// A shell command that gives this answer.
std::string answer(const std::string& protocol) {
  return fmt::format(R"(echo '{{{}"result":{}}}')", protocol, kResult);
}

std::string answer() { return answer(R"("protocol":5,)"); }

}  // namespace

TEST_CASE("every cell gets its answer from some worker", "[sweep]") {
  const std::string script = fmt::format("while read cell; do {}; done", answer());

  const auto records = run_cells(3, script, 10);

  for (size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].status == RunStatus::kOk);
    CHECK(records[i].key == cell_with_seed(i).key());
  }
}

TEST_CASE("a worker that dies fails its cell only and is replaced", "[sweep]") {
  const std::string script = fmt::format(
      "while read cell; do case \"$cell\" in *'\"seed\":2'*) kill -SEGV $$;; esac; {}; done",
      answer());

  const auto records = run_cells(2, script, 6);

  for (size_t i = 0; i < records.size(); ++i) {
    INFO("cell " << i);
    if (i != 2) CHECK(records[i].status == RunStatus::kOk);
  }
  CHECK(records[2].status == RunStatus::kFailed);
  CHECK_THAT(records[2].reason, Catch::Contains("signal 11"));
}

TEST_CASE("a worker that cannot work at all fails every cell with the reason", "[sweep]") {
  for (const RunRecord& record : run_cells(1, "exit 3", 2)) {
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

TEST_CASE("a sweep refuses workers of another version", "[sweep]") {
  for (const auto& [protocol, said] :
       {std::pair(R"("protocol":9,)", "version 9"), {"", "no version"}}) {
    const std::string script = fmt::format("while read cell; do {}; done", answer(protocol));
    CHECK_THROWS_AS(run_cells(2, script, 3), DataError);
    CHECK_THROWS_WITH(run_cells(2, script, 3),
                      Catch::Contains("this one speaks version 5") && Catch::Contains(said));
  }
  CHECK_THROWS_WITH(run_cells(1, "echo hello", 1), Catch::Contains("no version"));
  CHECK_THROWS_WITH(run_cells(1, R"(echo '{"protocol":5}')", 1), Catch::Contains("no 'result'"));
}

TEST_CASE("a worker answers cells and refuses lines of another version", "[sweep]") {
  Cell cell = cell_with_seed(3);
  cell.experts = {{"/nowhere", "h"}};
  ExecutionContext context;
  std::istringstream in(Json{{"protocol", 5}, {"cell", cell}}.dump() + '\n' +
                        Json{{"protocol", 9}, {"cell", cell}}.dump() + '\n');
  std::ostringstream out;

  CHECK_THROWS_WITH(serve_cells(context, in, out),
                    Catch::Contains("version 5") && Catch::Contains("version 9"));

  std::istringstream lines(out.str());
  std::string first, second, third;
  std::getline(lines, first);
  std::getline(lines, second);
  CHECK(Json::parse(first).at("protocol") == 5);
  CHECK(Json::parse(first).at("result").at("status") == "failed");
  CHECK(second == R"({"protocol":5})");
  CHECK(!std::getline(lines, third));
}

TEST_CASE("a sweep and its workers load the same plugins", "[sweep]") {
  CHECK_THROWS_AS(run_cells(1, R"(echo '{"protocol":5,"plugins":["0f"]}')", 1), DataError);
  CHECK_THROWS_WITH(run_cells(1, R"(echo '{"protocol":5,"plugins":["0f"]}')", 1),
                    Catch::Contains("must load the same plugins") && Catch::Contains("0f"));
  ExecutionContext context;
  std::istringstream in(
      Json{{"protocol", 5}, {"plugins", {"0f"}}, {"cell", cell_with_seed(3)}}.dump() + '\n');
  std::ostringstream out;

  CHECK_THROWS_WITH(serve_cells(context, in, out), Catch::Contains("0f"));
  CHECK(out.str() == "{\"protocol\":5}\n");
}

TEST_CASE("workers compute statistics, and one that cannot says why", "[sweep]") {
  std::vector<StatisticJob> jobs(2);
  for (StatisticJob& job : jobs) job.statistic = "input_gram";
  jobs[1].parameters["dies"] = true;
  std::vector<std::string> errors(2);
  const std::string script =
      "while read line; do case \"$line\" in *dies*) exit 3;; esac; "
      R"(echo '{"protocol":5,"error":"no data"}'; done)";

  local_workers_executor(1, {"sh", "-c", script})
      ->compute(jobs, [&](size_t index, const std::string& error) { errors.at(index) = error; });

  CHECK(errors[0] == "no data");
  CHECK_THAT(errors[1], Catch::Contains("ended early") && Catch::Contains("exit code 3"));

  StatisticJob job = jobs[0];
  job.model.path = "/nowhere";
  ExecutionContext context;
  std::istringstream in(Json{{"protocol", 5}, {"statistic", job}}.dump() + '\n');
  std::ostringstream out;
  serve_cells(context, in, out);
  CHECK_THAT(Json::parse(out.str()).at("error").get<std::string>(), Catch::Contains("/nowhere"));
}

TEST_CASE("a worker does not blame the version for a broken cell", "[sweep]") {
  ExecutionContext context;
  std::istringstream in(R"({"protocol":5})"
                        "\n");
  std::ostringstream out;

  CHECK_THROWS_WITH(serve_cells(context, in, out), Catch::Contains("no 'cell'"));

  CHECK(out.str().empty());
}
