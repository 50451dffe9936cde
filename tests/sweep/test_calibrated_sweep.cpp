// Sweeps whose methods look at data.
#include <cstdlib>
#include <iostream>
#include <set>

#include "harness/core/error.h"
#include "harness/sweep/estimate.h"
#include "harness/sweep/run_cell.h"
#include "harness/sweep/run_statistic.h"
#include "harness/sweep/run_sweep.h"
#include "reports/report.h"
#include "results/verify.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;
using test::BlobHome;

namespace {

/// The blob tasks with their recipe, and a sweep with rows that look at data.
class CalibratedSweep {
 public:
  CalibratedSweep() {
    home_.write_recipe(test::blob_recipe());
    ::setenv("ASSAY_MODELS_DIR", home_.models().c_str(), 1);
    ::setenv("ASSAY_STATISTICS_DIR", statistics().c_str(), 1);
    json = Json::parse(R"({
      "name": "blobs", "recipe": "recipe.json", "base": "base",
      "tasks": ["blobs/a", "blobs/b"], "calibration": {"examples": 32},
      "expert_sets": [{"name": "both", "experts": ["expert-a", "expert-b"]},
                      {"name": "turned", "experts": ["expert-b", "expert-a"]}],
      "methods": ["average",
                  {"method": "regmean", "tune": {"alpha": [0.5, 0.9]}},
                  {"method": "regmean", "label": "few", "calibration": {"examples": 4}},
                  {"method": "adamerging", "parameters": {"steps": 3},
                   "calibration": {"split": "test"}}]
    })");
  }
  ~CalibratedSweep() {
    ::unsetenv("ASSAY_MODELS_DIR");
    ::unsetenv("ASSAY_STATISTICS_DIR");
  }

  Json json;
  fs::path folder() const { return home_.folder(); }
  fs::path statistics() const { return home_.folder() / "statistics"; }
  ResolvedSweep resolve(Missing missing = Missing::kTrain) const {
    write_file(folder() / "sweep.json", json.dump());
    return resolve_sweep(SweepFile::read(folder() / "sweep.json"), {at::kCPU}, missing);
  }
  SweepSummary run(Executor& executor, const std::string& db = "r.sqlite") const {
    const ResolvedSweep sweep = resolve();
    Store store = Store::open(folder() / db);
    return run_sweep(sweep, plan_sweep(sweep), store, executor, current_environment("cpu", "test"));
  }
  SweepSummary run() const { return run(*in_process_executor()); }
  SweepResults results(const std::string& db = "r.sqlite") const {
    return Store::open_read_only(folder() / db).load_sweep("blobs");
  }
  SweepEstimate estimate() const {
    const ResolvedSweep sweep = resolve();
    return estimate_sweep(sweep, plan_sweep(sweep), nullptr);
  }
  size_t files() const {
    size_t count = 0;
    if (fs::exists(statistics()))
      for (const auto& entry : fs::directory_iterator(statistics()))
        count += entry.path().extension() == ".safetensors" ? 1 : 0;
    return count;
  }

 private:
  BlobHome home_;
};

/// The runs of a row, by set.
std::vector<const RunRecord*> runs_of(const SweepResults& results, const std::string& row,
                                      const std::string& variant = "default") {
  std::vector<const RunRecord*> runs;
  for (const auto& placed : results.runs)
    if (placed.placement.row == row && placed.placement.variant == variant)
      runs.push_back(&placed.run);
  return runs;
}

std::multiset<std::string> scores_by_place(const SweepResults& results) {
  std::multiset<std::string> lines;
  for (const auto& placed : results.runs)
    for (const ScoreRecord& score : placed.run.scores)
      lines.insert(fmt::format("{}|{}|{}|{}|{}|{}", placed.placement.set, placed.placement.row,
                               placed.placement.variant, placed.run.key, score.task, score.value));
  return lines;
}

/// Works in this process and counts; stops after so many statistics.
class Counting : public Executor {
 public:
  explicit Counting(int most = 1000) : left_(most) {}
  int computed = 0;
  int threads() const override { return 1; }
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) done(i, run_cell(context_, cells[i]));
  }
  void compute(const std::vector<StatisticJob>& jobs,
               const std::function<void(size_t, const std::string&)>& done) override {
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (left_-- == 0) throw std::runtime_error("interrupted");
      ++computed;
      done(i, run_statistic(context_, jobs[i]));
    }
  }

 private:
  int left_;
  ExecutionContext context_;
};

/// No statistic can be had.
class WithoutStatistics : public Counting {
 public:
  void compute(const std::vector<StatisticJob>& jobs,
               const std::function<void(size_t, const std::string&)>& done) override {
    for (size_t i = 0; i < jobs.size(); ++i) done(i, "as asked");
  }
};

}  // namespace

TEST_CASE("statistics are computed once for all rows, sets and points of grids", "[sweep][train]") {
  const CalibratedSweep sweep;
  CHECK(sweep.estimate().statistics == 4);
  Counting executor;

  const SweepSummary summary = sweep.run(executor);

  CHECK(summary.failed == 0);
  CHECK(summary.skipped == 0);
  CHECK(executor.computed == 4);  // two experts, with 32 examples and with 4
  CHECK(sweep.files() == 4);
  const SweepResults results = sweep.results();
  REQUIRE(results.statistics.size() == 4);
  std::map<int64_t, int> by_examples;
  for (const StatisticRecord& statistic : results.statistics) {
    CHECK(statistic.name == "input_gram");
    CHECK(statistic.bytes > 0);
    CHECK(statistic.cost.wall_s);
    CHECK(statistic.data.at("split") == "validation");
    CHECK(statistic.data.at("tasks").size() == 1);
    ++by_examples[statistic.data.at("examples").get<int64_t>()];
  }
  CHECK(by_examples == std::map<int64_t, int>{{4, 2}, {32, 2}});
  const auto regmean = runs_of(results, "regmean"), few = runs_of(results, "few");
  REQUIRE(regmean.size() == 2);
  CHECK(regmean[0]->statistics.size() == 2);
  CHECK(regmean[0]->statistics == regmean[1]->statistics);
  CHECK(regmean[0]->statistics == runs_of(results, "regmean", "grid")[0]->statistics);
  CHECK(regmean[0]->statistics != few[0]->statistics);
  CHECK(regmean[0]->calibration.at("examples") == 32);
  CHECK(regmean[0]->calibration.at("tasks").at(0).at(0).at("name") == "blobs/a");
  CHECK(regmean[1]->calibration.at("tasks").at(0).at(0).at("name") == "blobs/b");
  const auto adamerging = runs_of(results, "adamerging");
  CHECK(adamerging[0]->statistics.empty());
  CHECK(adamerging[0]->calibration.at("split") == "test");
  CHECK(runs_of(results, "average")[0]->calibration.is_null());
  CHECK(verify_store(sweep.folder() / "r.sqlite").problems.empty());

  Counting again;
  CHECK(sweep.run(again).ran == 0);
  CHECK(again.computed == 0);
}

TEST_CASE("the report charges every method for the statistics that it used", "[sweep][train]") {
  const CalibratedSweep sweep;
  sweep.run();
  const SweepResults results = sweep.results();

  const Json report = Json::parse(render_report(results, ReportFormat::kJson));

  double all = 0;
  for (const StatisticRecord& statistic : results.statistics)
    if (statistic.data.at("examples") == 32) all += *statistic.cost.wall_s;
  int seen = 0;
  for (const Json& row : report.at("rows")) {
    const std::string label = row.at("label");
    if (label == "regmean (default)" || label == "regmean (tuned)") {
      ++seen;
      CHECK(row.at("costs").at("calibration").at("wall_s").get<double>() == Approx(all));
      CHECK(row.at("costs").at("merge").at("wall_s").get<double>() > all);
      CHECK(row.at("shipped_bytes").get<double>() > 0);
      CHECK_FALSE(row.at("transductive").get<bool>());
      CHECK(row.at("calibrations").size() == 1);
    }
    if (label == "adamerging (default)") {
      ++seen;
      CHECK(row.at("transductive").get<bool>());
      CHECK(row.at("shipped_bytes").is_null());
      CHECK(row.at("costs").at("calibration").at("wall_s").is_null());
      CHECK(row.at("costs").at("merge").at("gradient_steps").get<double>() > 0);
    }
    if (label == "average (default)") {
      ++seen;
      CHECK(row.at("calibrations").empty());
    }
  }
  CHECK(seen == 4);
  const std::string text = render_report(results, ReportFormat::kMarkdown);
  CHECK_THAT(text, Contains("transductive: calibrated on the test split"));
  CHECK_THAT(text, Contains("Calibration time") && Contains("### Calibration"));
}

TEST_CASE("an interrupted wave of statistics is resumed", "[sweep][train]") {
  const CalibratedSweep sweep;
  Counting interrupted(3);
  CHECK_THROWS_WITH(sweep.run(interrupted), "interrupted");
  REQUIRE(sweep.files() == 3);
  CHECK(sweep.estimate().stored_statistics == 3);

  Counting resumed;
  CHECK(sweep.run(resumed).failed == 0);

  CHECK(resumed.computed == 1);
  sweep.run(*in_process_executor(), "undisturbed.sqlite");
  CHECK(scores_by_place(sweep.results()) == scores_by_place(sweep.results("undisturbed.sqlite")));
}

TEST_CASE("a file of a statistic that is broken is made again", "[sweep][train]") {
  const CalibratedSweep sweep;
  sweep.run();
  const auto before = scores_by_place(sweep.results());
  fs::path broken;
  for (const auto& entry : fs::directory_iterator(sweep.statistics()))
    if (entry.path().extension() == ".safetensors") broken = entry.path();
  fs::resize_file(broken, fs::file_size(broken) / 2);

  Counting executor;
  sweep.run(executor, "later.sqlite");

  CHECK(executor.computed == 1);
  CHECK(scores_by_place(sweep.results("later.sqlite")) == before);
}

TEST_CASE("a file that holds another statistic than its name says is made again",
          "[sweep][train]") {
  const CalibratedSweep sweep;
  sweep.run();
  const auto before = scores_by_place(sweep.results());
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(sweep.statistics()))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  REQUIRE(files.size() >= 2);
  fs::copy_file(files[0], files[1], fs::copy_options::overwrite_existing);

  Counting executor;
  sweep.run(executor, "later.sqlite");

  CHECK(executor.computed == 1);
  CHECK(scores_by_place(sweep.results("later.sqlite")) == before);
}

// Run by the next test in processes of its own, which know its tasks.
TEST_CASE("a worker for blobs", "[.example]") {
  ExecutionContext context;
  serve_cells(context, std::cin, std::cout);
}

TEST_CASE("worker processes give the same statistics and scores", "[sweep][train]") {
  const CalibratedSweep sweep;
  sweep.run();
  const SweepResults alone = sweep.results();
  fs::remove_all(sweep.statistics());
  const auto workers = local_workers_executor(
      2, {fs::read_symlink("/proc/self/exe").string(), "a worker for blobs", "--out", "/dev/null"});

  CHECK(sweep.run(*workers, "workers.sqlite").failed == 0);

  const SweepResults shared = sweep.results("workers.sqlite");
  CHECK(scores_by_place(shared) == scores_by_place(alone));
  std::set<std::string> keys, expected;
  for (const StatisticRecord& statistic : shared.statistics) keys.insert(statistic.key);
  for (const StatisticRecord& statistic : alone.statistics) expected.insert(statistic.key);
  CHECK(keys == expected);
  CHECK(sweep.files() == 4);
}

TEST_CASE("a statistic that fails fails the cells that need it, and no others", "[sweep][train]") {
  const CalibratedSweep sweep;
  WithoutStatistics executor;

  const SweepSummary summary = sweep.run(executor);

  const SweepResults results = sweep.results();
  CHECK(summary.failed == 8);  // regmean's default and two points, and "few", on two sets
  for (const RunRecord* run : runs_of(results, "regmean")) {
    CHECK(run->status == RunStatus::kFailed);
    CHECK_THAT(run->reason, Contains("input_gram") && Contains("as asked"));
  }
  for (const char* row : {"average", "adamerging"})
    for (const RunRecord* run : runs_of(results, row)) CHECK(run->status == RunStatus::kOk);
  CHECK(sweep.run().failed == 0);  // they are tried again
}

TEST_CASE("rows that cannot be calibrated are refused before data are read", "[sweep][train]") {
  CalibratedSweep sweep;
  const auto reason = [&] {
    for (const PlannedCell& planned : plan_sweep(sweep.resolve(Missing::kLeave)).fixed)
      if (planned.placement.row == "regmean") return planned.unmet.value_or("none");
    return std::string("no such row");
  };
  CHECK(reason() == "none");
  sweep.json["tasks"] = {"blobs/a"};
  CHECK_THAT(reason(), Contains("calibration data") && Contains("expert-b") && Contains("'tasks'"));
}

TEST_CASE("a row is calibrated on the tasks that it names", "[sweep][train]") {
  CalibratedSweep sweep;
  sweep.json["methods"] = {
      "regmean",
      {{"method", "regmean"}, {"label", "others"}, {"calibration", {{"tasks", {"blobs/b"}}}}},
      {{"method", "regmean"},
       {"label", "both"},
       {"calibration", {{"tasks", {"blobs/a", "blobs/b"}}}}}};
  sweep.json["tasks"] = {"blobs/a", "blobs/b"};

  REQUIRE(sweep.run().failed == 0);

  const SweepResults results = sweep.results();
  const auto tasks = [&](const std::string& row) {
    std::vector<std::vector<std::string>> names;
    for (const Json& of_expert : runs_of(results, row).at(0)->calibration.at("tasks")) {
      names.emplace_back();
      for (const Json& task : of_expert) names.back().push_back(task.at("name"));
    }
    return names;
  };
  using Names = std::vector<std::vector<std::string>>;
  CHECK(tasks("regmean") == Names{{"blobs/a"}, {"blobs/b"}});
  CHECK(tasks("others") == Names{{"blobs/b"}, {"blobs/b"}});
  CHECK(tasks("both") == Names{{"blobs/a", "blobs/b"}, {"blobs/a", "blobs/b"}});
  std::set<std::string> keys;
  for (const char* row : {"regmean", "others", "both"})
    keys.insert(runs_of(results, row).at(0)->key);
  CHECK(keys.size() == 3);
  // Each expert on its own task, on the other one, and on both: a file each, one of which the
  // rows share.
  CHECK(sweep.files() == 2 + 1 + 2);
}

TEST_CASE("tasks of a calibration need not be the sweep's, but must be there", "[sweep][train]") {
  CalibratedSweep sweep;
  sweep.json["tasks"] = {"blobs/a"};
  sweep.json["calibration"]["tasks"] = {"blobs/b"};
  const ResolvedSweep resolved = sweep.resolve(Missing::kLeave);
  for (const PlannedCell& planned : plan_sweep(resolved).fixed)
    if (planned.placement.row == "regmean") CHECK_FALSE(planned.unmet);

  sweep.json["calibration"]["tasks"] = {"blobs/bb"};
  CHECK_THROWS_WITH(sweep.resolve(Missing::kLeave),
                    Contains("calibration.tasks") && Contains("blobs/bb") && Contains("blobs/b"));
  sweep.json["calibration"]["tasks"] = Json::array();
  CHECK_THROWS_WITH(sweep.resolve(Missing::kLeave), Contains("calibration.tasks"));
}

TEST_CASE("calibration is read strictly, for the sweep and for a row", "[sweep]") {
  CalibratedSweep sweep;
  const auto read = [&] {
    write_file(sweep.folder() / "sweep.json", sweep.json.dump());
    return SweepFile::read(sweep.folder() / "sweep.json");
  };
  const SweepFile file = read();
  CHECK(file.methods.at(1).calibration.spec == CalibrationSpec{.examples = 32});
  CHECK(file.methods.at(2).calibration.spec == CalibrationSpec{.examples = 4});
  CHECK(file.methods.at(3).calibration.spec ==
        CalibrationSpec{.split = Split::kTest, .examples = 32});

  SECTION("a row that looks at no data") {
    sweep.json["methods"][0] = {{"method", "average"}, {"calibration", {{"examples", 4}}}};
    CHECK_THROWS_WITH(read(), Contains("methods[0].calibration") && Contains("average"));
  }
  SECTION("an unknown key") {
    sweep.json["calibration"] = {{"exmples", 4}};
    CHECK_THROWS_WITH(read(), Contains("exmples") && Contains("examples"));
  }
  SECTION("an unknown split") {
    sweep.json["calibration"] = {{"split", "tests"}};
    CHECK_THROWS_WITH(read(), Contains("tests") && Contains("validation"));
  }
  SECTION("no examples") {
    sweep.json["calibration"] = {{"examples", 0}};
    CHECK_THROWS_WITH(read(), Contains("calibration.examples"));
  }
}
