#include "harness/sweep/cell.h"

#include <functional>

#include "harness/core/error.h"
#include "harness/method/method.h"
#include "tests/catch.h"

using namespace assay;

namespace {

Cell merge() {
  Cell cell;
  cell.kind = CellKind::kMerge;
  cell.record_kind = RunKind::kMerge;
  cell.method = "average";
  cell.parameters = {{"a", 1}};
  cell.seed = 7;
  cell.base = {"/base", "h0", "c0", "", false};
  cell.experts = {{"/x", "h1", "c1", "", false}, {"/y", "h2", "c2", "/lora", false}};
  cell.tasks = {{"t/one", "t1"}, {"t/two", "t2"}};
  return cell;
}

Cell settled_merge() {
  Cell cell = merge();
  cell.seed = 0;
  cell.base = {};
  cell.experts[1].settled = true;
  cell.split = Split::kValidation;
  cell.devices = {at::Device(at::kCUDA, 0), at::Device(at::kCUDA, 1)};
  cell.dtype = at::kBFloat16;
  return cell;
}

Cell calibrated_merge() {
  Cell cell = merge();
  cell.method = "regmean";
  cell.parameters = make_method("regmean", JsonReader(Json::object(), "a test"))->parameters();
  cell.calibration = {{Split::kTrain, 64, 3}, {{{"t/one", "t1"}}, {{"t/two", "t2"}}}};
  return cell;
}

Cell expert() {
  Cell cell;
  cell.record_kind = RunKind::kExpert;
  cell.experts = {merge().experts.front()};
  cell.tasks = merge().tasks;
  cell.devices = {at::Device(at::kCUDA, 1)};
  return cell;
}

Cell base() {
  Cell cell = expert();
  cell.record_kind = RunKind::kBase;
  cell.split = Split::kValidation;
  cell.dtype = at::kHalf;
  cell.devices = {at::Device(at::kCUDA, 0), at::kCPU};
  return cell;
}

Cell ensemble() {
  Cell cell = merge();
  cell.kind = CellKind::kEnsemble;
  cell.record_kind = RunKind::kEnsemble;
  cell.method = "";
  cell.parameters = Json::object();
  cell.seed = 0;
  cell.base = {};
  cell.split = Split::kTrain;
  return cell;
}

}  // namespace

TEST_CASE("a cell's key depends on all that determines its scores", "[sweep][pitfall-11]") {
  const Cell cell = merge();
  const std::string key = cell.key();

  const auto changed = [&](const std::function<void(Cell&)>& change) {
    Cell other = cell;
    change(other);
    return other.key() != key;
  };
  CHECK(changed([](Cell& c) { c.kind = CellKind::kEnsemble; }));
  CHECK(changed([](Cell& c) { c.parameters["a"] = 2; }));
  CHECK(changed([](Cell& c) { c.seed = 1; }));
  CHECK(changed([](Cell& c) { c.base.hash = "other"; }));
  CHECK(changed([](Cell& c) { std::swap(c.experts[0], c.experts[1]); }));
  CHECK(changed([](Cell& c) { c.experts[0].computation = "other"; }));
  CHECK(changed([](Cell& c) { c.tasks[0].hash = "other"; }));
  CHECK(changed([](Cell& c) { c.split = Split::kValidation; }));
  CHECK(changed([](Cell& c) { c.method = "linear"; }));
  CHECK(changed([](Cell& c) { c.devices = {at::Device(at::kCUDA, 0)}; }));
  CHECK(changed([](Cell& c) { c.dtype = at::kFloat; }));
  // Where a checkpoint lies does not matter.
  CHECK_FALSE(changed([](Cell& c) { c.experts[0].path = "/elsewhere"; }));
  CHECK_FALSE(changed([](Cell& c) { c.base.path = "/elsewhere"; }));
}

TEST_CASE("the key of a calibrated cell depends on its data", "[sweep]") {
  const Cell cell = calibrated_merge();
  const std::string key = cell.key(), model_key = cell.model_key();

  const auto changed = [&](const std::function<void(Cell&)>& change) {
    Cell other = cell;
    change(other);
    CHECK((other.key() != key) == (other.model_key() != model_key));
    return other.key() != key;
  };
  CHECK(changed([](Cell& c) { c.calibration.reset(); }));
  CHECK(changed([](Cell& c) { c.calibration->spec.split = Split::kTest; }));
  CHECK(changed([](Cell& c) { c.calibration->spec.examples = 65; }));
  CHECK(changed([](Cell& c) { c.calibration->spec.seed = 4; }));
  CHECK(changed([](Cell& c) { c.calibration->tasks[1][0].hash = "other"; }));
  CHECK(changed([](Cell& c) { std::swap(c.calibration->tasks[0], c.calibration->tasks[1]); }));
  CHECK(changed([](Cell& c) { c.calibration->tasks[0].push_back({"t/two", "t2"}); }));
  // An expert's statistics are computed by its own config.
  CHECK(changed([](Cell& c) { c.experts[1].computation = "other"; }));
}

TEST_CASE("a cell lists each statistic of each expert once", "[sweep]") {
  Cell cell = calibrated_merge();

  const std::vector<StatisticJob> jobs = cell.statistic_jobs();

  REQUIRE(jobs.size() == 2);
  CHECK(jobs[1].statistic == "input_gram");
  CHECK(jobs[1].model.path == "/y");
  CHECK(jobs[1].model.adapter == "/lora");
  CHECK(jobs[1].model.hash == "h2");
  CHECK(jobs[1].tasks.at(0).name == "t/two");
  CHECK(jobs[1].data == cell.calibration->spec);
  CHECK(merge().statistic_jobs().empty());
  cell.experts[1] = cell.experts[0];
  cell.calibration->tasks[1] = cell.calibration->tasks[0];
  CHECK(cell.statistic_jobs().size() == 1);
  const RunRecord record = empty_record(cell);
  CHECK(record.statistics == std::vector<std::string>{cell.statistic_jobs()[0].key()});
  CHECK(record.calibration.at("split") == "train");
  CHECK(record.calibration.at("tasks").at(1).at(0).at("name") == "t/one");
}

// By these the scores in old stores are found.
TEST_CASE("cells have the keys that they have always had", "[sweep]") {
  Hasher hasher;
  hasher.number(1).text(ASSAY_LIBTORCH_VERSION).text("model").text("test").text("cuda");
  hasher.number(1).text("h1").text("c1").text("t/one").text("t1").text("t/two").text("t2");
  CHECK(expert().key() == hasher.hex());

  // As a program of before had them. A new version of the method changes those of merges.
  if (std::string(ASSAY_LIBTORCH_VERSION) == "2.11.0") {
    CHECK(merge().key() == "4dc8e27aff624188415f23a7528814eb");
    CHECK(settled_merge().key() == "4e31ebcecca6749bfa44f0cc700ce9c8");
    CHECK(expert().key() == "6a552773d382eddd56b16732467cec3f");
    CHECK(base().key() == "2956a6389f7a8d2bf8c3cabcbda72506");
    CHECK(ensemble().key() == "645e872959cdbe26b25f6d74eb12ef3c");
    CHECK(merge().model_key() == "850432829d6873e1e03880e25314d8a8");
    CHECK(settled_merge().model_key() == "124e3612ae697e4003d5457647708861");
    CHECK(expert().model_key() == "74123302704ba88d2cb76a48119b5537");
    CHECK(base().model_key() == "694c9d7bc7ead2d722c9555030fc8235");
    CHECK(ensemble().model_key() == "a223822938dfe08ae41e4e231a0881f9");
  }
}

TEST_CASE("merges of running moments have keys of their own, but by methods that make them",
          "[sweep]") {
  const auto keys = [](const std::string& method, bool moments) {
    Cell cell = merge();
    cell.method = method;
    cell.experts[0].moments = moments;
    return std::pair(cell.key(), cell.model_key());
  };
  CHECK(keys("average", false).first != keys("average", true).first);
  CHECK(keys("average", false).second != keys("average", true).second);
  CHECK(keys("linear", false) == keys("linear", true));
  Cell alone = expert();
  alone.experts[0].moments = true;
  CHECK(alone.key() == expert().key());
}

TEST_CASE("cells are sent as JSON with names", "[sweep]") {
  CHECK(Json(settled_merge()) == Json::parse(R"({
    "kind": "merge", "record_kind": "merge", "method": "average", "parameters": {"a": 1},
    "seed": 0, "split": "validation", "device": "cuda:0,cuda:1", "dtype": "bfloat16",
    "base": {"path": "", "hash": "", "computation": "", "adapter": "", "settled": false,
       "moments": false},
    "experts": [
      {"path": "/x", "hash": "h1", "computation": "c1", "adapter": "", "settled": false,
       "moments": false},
      {"path": "/y", "hash": "h2", "computation": "c2", "adapter": "/lora", "settled": true,
       "moments": false}],
    "tasks": [{"name": "t/one", "hash": "t1"}, {"name": "t/two", "hash": "t2"}],
    "calibration": null})"));
  CHECK(Json(expert()).at("dtype") == Json(""));
  for (const Cell& cell :
       {merge(), settled_merge(), calibrated_merge(), expert(), base(), ensemble()}) {
    const Cell read = Json(cell).get<Cell>();
    CHECK(Json(read) == Json(cell));
    CHECK(read.key() == cell.key());
  }
}

TEST_CASE("a cell of an unknown name is refused", "[sweep]") {
  for (const char* key : {"kind", "record_kind", "split", "device", "dtype"}) {
    Json json = merge();
    json[key] = "soup";
    INFO(key);
    CHECK_THROWS_WITH(json.get<Cell>(), Catch::Contains("'soup'"));
  }
}

TEST_CASE("the record of a cell has the names that are stored", "[sweep]") {
  const RunRecord record = empty_record(base());

  CHECK(run_kind_name(record.kind) == "base");
  CHECK(record.split == "validation");
  CHECK(base().describe() == "base on validation");
  for (const RunStatus status : {RunStatus::kOk, RunStatus::kSkipped, RunStatus::kFailed})
    CHECK(run_status_from_name(run_status_name(status)) == status);
  CHECK(run_status_name(RunStatus::kSkipped) == "skipped");
  CHECK_THROWS_AS(run_status_from_name("interrupted"), DataError);
}
