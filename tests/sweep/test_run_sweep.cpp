#include <ATen/ATen.h>

#include <set>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/sweep/estimate.h"
#include "harness/sweep/run_cell.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/train/blobs.h"

using namespace assay;
using test::BlobHome;

namespace {

/// The blob tasks with their recipe, and a sweep over two expert sets.
class BlobSweep {
 public:
  BlobSweep() {
    home_.write_recipe(test::blob_recipe());
    ::setenv("ASSAY_MODELS_DIR", home_.models().c_str(), 1);
    json_ = Json::parse(R"({
      "name": "blobs", "recipe": "recipe.json", "base": "base",
      "tasks": ["blobs/a", "blobs/b"], "seeds": [0, 1],
      "expert_sets": [{"name": "both", "experts": ["expert-a", "expert-b"],
                       "multitask": "multitask"},
                      {"name": "one", "experts": ["expert-a"]}],
      "methods": ["average", "slerp",
                  {"method": "task_arithmetic", "tune": {"scale": [0.1, 0.5, 1.0]}},
                  {"method": "dare", "tune": {"drop": [0.2, 0.5]}}]
    })");
  }
  ~BlobSweep() { ::unsetenv("ASSAY_MODELS_DIR"); }

  Json& json() { return json_; }
  const fs::path& folder() const { return home_.folder(); }
  fs::path db() const { return home_.folder() / "r.sqlite"; }

  ResolvedSweep resolve(Missing missing = Missing::kTrain, const std::string& only = "") const {
    write_file(home_.folder() / "sweep.json", json_.dump());
    SweepFile file = SweepFile::read(home_.folder() / "sweep.json");
    if (!only.empty()) keep_only(file, only);
    return resolve_sweep(std::move(file), {at::kCPU}, missing);
  }
  /// Of a checkpoint that an earlier run trained.
  void double_weights(const std::string& name) const {
    const fs::path path = folder() / "models" / "blobs" / name;
    const auto old = Checkpoint::open(path);
    StateDict weights;
    for (const TensorInfo& info : old->tensors()) weights[info.name] = old->read(info.name) * 2;
    write_checkpoint(path, weights, {old->config(), old->origin(), "", {}}, true);
  }
  SweepSummary run(Executor& executor, const std::string& only = "") const {
    const ResolvedSweep sweep = resolve(Missing::kTrain, only);
    Store store = Store::open(db());
    return run_sweep(sweep, plan_sweep(sweep), store, executor, current_environment("cpu", "test"));
  }
  SweepSummary run() const { return run(*in_process_executor()); }
  SweepSummary run_only(const std::string& glob) const { return run(*in_process_executor(), glob); }
  SweepResults results() const { return Store::open_read_only(db()).load_sweep("blobs"); }

 private:
  BlobHome home_;
  Json json_;
};

/// Places and scores of all runs, as text, in a fixed order.
std::multiset<std::string> scores_of(const SweepResults& results) {
  std::multiset<std::string> lines;
  for (const auto& placed : results.runs)
    for (const ScoreRecord& score : placed.run.scores)
      lines.insert(fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", placed.placement.set,
                               placed.placement.row, placed.placement.variant, placed.run.key,
                               score.task, score.split, score.metric, score.value));
  return lines;
}

/// Places whose run failed; each must say why.
size_t count_failures(const SweepResults& results) {
  size_t failures = 0;
  for (const auto& placed : results.runs) {
    if (placed.run.status != RunStatus::kFailed) continue;
    CHECK_FALSE(placed.run.reason.empty());
    ++failures;
  }
  return failures;
}

/// Fails some cells, as a worker that dies would, and runs the others in this process.
class Flaky : public Executor {
 public:
  int threads() const override { return 3; }
  explicit Flaky(size_t failures) : left_(failures) {}
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) {
      RunRecord record = left_ > 0 ? empty_record(cells[i]) : run_cell(context_, cells[i]);
      if (left_ > 0) {
        --left_;
        record.status = RunStatus::kFailed;
        record.reason = "as asked";
      }
      done(i, std::move(record));
    }
  }

 private:
  size_t left_;
  ExecutionContext context_;
};

/// Scores cells by their scale, more is better, without running them; those of a larger scale than
/// `most` fail. Stops after so many calls.
class ByScale : public Executor {
 public:
  ByScale(double most, int calls) : most_(most), left_(calls) {}
  int threads() const override { return 1; }
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) {
      RunRecord record = empty_record(cells[i]);
      const double scale = cells[i].parameters.value("scale", 0.5);
      if (scale > most_) {
        record.status = RunStatus::kFailed;
        record.reason = "as asked";
      } else {
        for (const TaskRef& task : cells[i].tasks)
          record.scores.push_back({task.name, split_name(cells[i].split), "acc", true, scale, {1}});
      }
      done(i, std::move(record));
    }
    if (--left_ == 0) throw std::runtime_error("interrupted");
  }

 private:
  double most_;
  int left_;
};

/// Runs cells in this process, but gives up after a number of them.
class GivesUp : public Executor {
 public:
  int threads() const override { return 1; }
  explicit GivesUp(size_t cells) : left_(cells) {}
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (left_-- == 0) throw std::runtime_error("interrupted");
      done(i, run_cell(context_, cells[i]));
    }
  }

 private:
  size_t left_;
  ExecutionContext context_;
};

}  // namespace

TEST_CASE("a sweep gives every row a result or a reason", "[sweep][train]") {
  const BlobSweep sweep;

  const SweepSummary summary = sweep.run();

  CHECK(summary.failed == 0);
  const SweepResults results = sweep.results();
  std::map<std::string, int> rows;
  for (const auto& placed : results.runs)
    ++rows[placed.placement.set + "|" + placed.placement.row + "|" + placed.placement.variant];
  for (const char* row :
       {"both|base|reference", "both|expert-a|reference", "both|best expert|reference",
        "both|multitask|reference", "both|ensemble|reference", "both|oracle expert|reference",
        "one|base|reference", "both|average|default", "both|task_arithmetic|default",
        "both|task_arithmetic|tuned"}) {
    INFO(row);
    CHECK(rows[row] == 1);
  }
  CHECK(rows["both|task_arithmetic|grid"] == 3);
  CHECK(rows["both|dare|default"] == 2);  // one per seed: its result depends on it
  CHECK(rows["both|dare|tuned"] == 2);
  CHECK(rows["one|slerp|default"] == 1);
  for (const auto& placed : results.runs)
    if (placed.placement.set == "one" && placed.placement.row == "slerp") {
      CHECK(placed.run.status == RunStatus::kSkipped);
      CHECK_THAT(placed.run.reason, Catch::Contains("2"));
    }
}

TEST_CASE("a sweep's ensembles are told apart by their rows and keys",
          "[sweep][train][pitfall-12]") {
  BlobSweep sweep;
  sweep.json()["references"] = {"ensemble", "ensemble of logits", "ensemble of probabilities",
                                "majority vote"};
  sweep.json()["methods"] = Json::array({"average"});
  CHECK(sweep.run().failed == 0);

  std::map<std::string, const RunRecord*> runs;
  const SweepResults results = sweep.results();
  for (const auto& placed : results.runs)
    if (placed.placement.set == "both") runs[placed.placement.row] = &placed.run;
  CHECK_FALSE(runs.contains("oracle expert"));
  CHECK(runs.at("ensemble")->diagnostics.at("ensemble") == "logits");
  CHECK(runs.at("majority vote")->diagnostics.at("ensemble") == "votes");
  CHECK(runs.at("majority vote")->parameters == Json{{"rule", "votes"}});
  CHECK(runs.at("ensemble of probabilities")->key != runs.at("ensemble")->key);
  CHECK(runs.at("ensemble of logits")->scores.front().value ==
        runs.at("ensemble")->scores.front().value);
}

TEST_CASE("held-in is what the experts of the set were trained on", "[sweep][train]") {
  const BlobSweep sweep;

  const SweepRecord record = sweep.resolve().record();

  REQUIRE(record.sets.size() == 2);
  const auto& both = record.sets[0].tasks;
  CHECK((both[0].held_in && both[1].held_in));
  CHECK(both[0].own_expert == record.sets[0].experts[0]);
  CHECK(both[1].own_expert == record.sets[0].experts[1]);
  const auto& one = record.sets[1].tasks;
  CHECK((one[0].held_in && !one[1].held_in));
  CHECK(one[1].own_expert.empty());
}

TEST_CASE("the record says which files a sweep's names stood for", "[sweep][train]") {
  const BlobSweep sweep;

  const std::vector<FoundName> found = sweep.resolve().record().found;

  REQUIRE(found.size() == 3);
  CHECK(found[0].what == "sweep file");
  CHECK(found[0].name == (sweep.folder() / "sweep.json").string());
  CHECK(found[0].path == fs::canonical(sweep.folder() / "sweep.json"));
  CHECK(found[1].what == "recipe");
  CHECK(found[1].name == "recipe.json");
  CHECK(found[1].path == fs::canonical(sweep.folder() / "recipe.json"));
  CHECK(found[2].what == "suite");
  CHECK(found[2].name == "blobs");
  CHECK(fs::path(found[2].path).filename() == "blobs.json");
}

TEST_CASE("merges with a base that are still to be run are counted", "[sweep][train]") {
  const BlobSweep sweep;
  const ResolvedSweep resolved = sweep.resolve();
  const Plan plan = plan_sweep(resolved);
  const auto count = [&] { return merges_with_base(plan, Store::open(sweep.db())); };

  // Per set: task arithmetic's default, its grid of 3 and what is chosen; two seeds of DARE's
  // default, its grid of 2 and what is chosen. The average has no base.
  CHECK(count() == 2 * (5 + 2 * 4));

  sweep.run_only("dare");
  CHECK(count() == 2 * 5);  // of DARE's grid one point is chosen, and the other is the default

  sweep.run();
  CHECK(count() == 0);  // points that were not chosen never run
}

TEST_CASE("grids are scored on validation of held-in tasks, and only the chosen on test",
          "[sweep][train][pitfall-10]") {
  const BlobSweep sweep;
  sweep.run();

  std::map<double, double> validation;  // scale -> mean score
  std::set<double> on_test;
  for (const auto& placed : sweep.results().runs) {
    if (placed.placement.row != "task_arithmetic" || placed.placement.set != "both") continue;
    const double scale = placed.run.parameters["scale"].get<double>();
    for (const ScoreRecord& score : placed.run.scores)
      CHECK(score.split == (placed.placement.variant == "grid" ? "validation" : "test"));
    if (placed.placement.variant == "grid")
      for (const ScoreRecord& score : placed.run.scores) validation[scale] += score.value / 2;
    if (placed.placement.variant == "tuned") on_test.insert(scale);
  }

  REQUIRE(validation.size() == 3);
  REQUIRE(on_test.size() == 1);
  for (const auto& [scale, score] : validation) CHECK(validation[*on_test.begin()] >= score);
}

TEST_CASE("a sweep of held-in tasks scores no others, and leaves them out of its sets",
          "[sweep][train]") {
  BlobSweep sweep;
  sweep.json()["methods"] = {"average"};
  sweep.json()["evaluate"] = "held-in";
  sweep.run();
  const SweepResults results = sweep.results();

  REQUIRE(results.sweep.sets.size() == 2);
  CHECK(results.sweep.sets[0].tasks.size() == 2);
  REQUIRE(results.sweep.sets[1].tasks.size() == 1);  // of expert-a
  CHECK(results.sweep.sets[1].tasks[0].task == "blobs/a");
  for (const auto& placed : results.runs) {
    CAPTURE(placed.placement.set, placed.placement.row);
    CHECK(placed.run.status == RunStatus::kOk);
    CHECK_FALSE(placed.run.scores.empty());
    for (const ScoreRecord& score : placed.run.scores)
      CHECK((placed.placement.set == "both" || score.task == "blobs/a"));
  }

  sweep.json()["evaluate"] = "all";
  sweep.run();
  bool scored = false;
  for (const auto& placed : sweep.results().runs)
    for (const ScoreRecord& score : placed.run.scores)
      scored |= placed.placement.set == "one" && score.task == "blobs/b";
  CHECK(scored);
}

TEST_CASE("running the same sweep again runs nothing and changes nothing", "[sweep][train]") {
  const BlobSweep sweep;
  sweep.run();
  const auto before = scores_of(sweep.results());

  const SweepSummary again = sweep.run();

  // Skipped cells are checked again, which costs nothing; nothing else is.
  CHECK(again.ran == again.skipped);
  CHECK(scores_of(sweep.results()) == before);
}

TEST_CASE("an interrupted sweep, run again, ends in the scores of an undisturbed one",
          "[sweep][train]") {
  const BlobSweep sweep;
  sweep.run();
  const auto undisturbed = scores_of(sweep.results());

  for (const size_t cells : {0, 1, 7, 12}) {
    fs::remove(sweep.db());
    GivesUp executor(cells);
    CHECK_THROWS_WITH(sweep.run(executor), "interrupted");
    CHECK(sweep.results().runs.size() >= cells);  // shown as soon as they finish
    CHECK(sweep.results().finished_at.empty());
    const SweepSummary rest = sweep.run();
    CHECK(rest.reused >= static_cast<int64_t>(cells));
    CHECK(scores_of(sweep.results()) == undisturbed);
  }
}

TEST_CASE("a sweep that chooses anew shows one winner, also where it was interrupted",
          "[sweep][train]") {
  BlobSweep sweep;
  sweep.json()["methods"] =
      Json::parse(R"([{"method": "task_arithmetic", "tune": {"scale": [0.1, 0.5, 1.0]}}])");
  const auto winners = [&] {
    std::vector<double> scales;
    for (const auto& placed : sweep.results().runs)
      if (placed.placement.set == "both" && placed.placement.row == "task_arithmetic" &&
          placed.placement.variant == "tuned")
        scales.push_back(placed.run.parameters.at("scale").get<double>());
    return scales;
  };
  ByScale without(0.5, -1), with(1.0, 2);  // the second call is for what was chosen

  sweep.run(without);
  CHECK(winners() == std::vector{0.5});
  CHECK_THROWS_WITH(sweep.run(with), "interrupted");

  CHECK(winners() == std::vector{1.0});
}

TEST_CASE("a failed cell does not stop the sweep and is tried again", "[sweep][train]") {
  const BlobSweep sweep;
  Flaky executor(2);

  const SweepSummary first = sweep.run(executor);
  const size_t failures = count_failures(sweep.results());
  const SweepSummary second = sweep.run();

  CHECK(first.failed == 2);
  CHECK(failures > 0);
  CHECK(first.ran > 20);
  CHECK(second.failed == 0);
  CHECK(count_failures(sweep.results()) == 0);
}

TEST_CASE("running some rows alone leaves the others their results", "[sweep][train]") {
  const BlobSweep sweep;
  sweep.run_only("average");
  CHECK(sweep.results().finished_at.empty());  // a part of what the file asks for
  sweep.run();
  const SweepResults before = sweep.results();
  REQUIRE_FALSE(before.finished_at.empty());

  sweep.run_only("average");

  CHECK(scores_of(sweep.results()) == scores_of(before));
  CHECK(sweep.results().finished_at == before.finished_at);
}

TEST_CASE("running some rows alone does not mix the others with new weights", "[sweep][train]") {
  const BlobSweep sweep;
  sweep.run();
  sweep.double_weights("expert-a");

  sweep.run_only("average");

  for (const auto& placed : sweep.results().runs) CHECK(placed.placement.row != "task_arithmetic");
  CHECK(sweep.results().finished_at.empty());
}

TEST_CASE("the record says how many threads worked on a cell", "[sweep][train]") {
  const BlobSweep sweep;
  Flaky executor(0);

  sweep.run(executor);

  for (const Environment& environment : sweep.results().environments)
    CHECK(environment.threads == 3);
}

TEST_CASE("changed weights never answer with an old score", "[sweep][train]") {
  const BlobSweep sweep;
  sweep.run();
  sweep.double_weights("expert-a");

  const SweepSummary summary = sweep.run();

  CHECK(summary.ran > summary.skipped);
  CHECK(summary.failed == 0);
}

TEST_CASE("what does not fit together is refused before anything runs", "[sweep][train]") {
  BlobSweep sweep;

  SECTION("a set without held-in tasks") {
    sweep.json()["tasks"] = {"blobs/b"};
    CHECK_THROWS_WITH(sweep.resolve(), Catch::Contains("'one'") && Catch::Contains("held-in"));
  }
  SECTION("an unknown expert") {
    sweep.json()["expert_sets"][0]["experts"] = {"expert-c"};
    CHECK_THROWS_WITH(sweep.resolve(), Catch::Contains("expert-c") && Catch::Contains("expert-a"));
  }
  SECTION("an unknown task") {
    sweep.json()["tasks"] = {"blobs/aa"};
    CHECK_THROWS_WITH(sweep.resolve(), Catch::Contains("blobs/aa") && Catch::Contains("blobs/a"));
  }
  SECTION("an expert of another shape") {
    sweep.resolve();
    const fs::path expert = sweep.folder() / "models" / "blobs" / "expert-b";
    const auto old = Checkpoint::open(expert);
    StateDict weights;
    for (const TensorInfo& info : old->tensors()) weights[info.name] = old->read(info.name);
    weights.begin()->second = at::zeros({1, 2, 3});
    write_checkpoint(expert, weights, {old->config(), old->origin(), "", {}}, true);
    CHECK_THROWS_WITH(sweep.resolve(), Catch::Contains("expert-b") &&
                                           Catch::Contains(weights.begin()->first) &&
                                           Catch::Contains("[1, 2, 3]"));

    // Where a method takes such models, the others are skipped for this set.
    sweep.json()["methods"].push_back("routed_ensemble");
    const ResolvedSweep resolved = sweep.resolve();
    const std::vector<ExpertSet>& sets = resolved.file.sets;
    CHECK_THAT(resolved.unmet_need(sets[0], {}).value_or(""),
               Catch::Contains("the same tensors") && Catch::Contains("[1, 2, 3]"));
    CHECK_FALSE(resolved.unmet_need(sets[0], {.same_shapes = false}));
    CHECK_FALSE(resolved.unmet_need(sets[1], {}));
  }
}

TEST_CASE("a dry run plans without training", "[sweep]") {
  const BlobSweep sweep;

  const ResolvedSweep resolved = sweep.resolve(Missing::kLeave);
  const Plan plan = plan_sweep(resolved);

  CHECK_FALSE(fs::exists(sweep.folder() / "models"));
  CHECK(resolved.models.at("expert-a").checkpoint == nullptr);
  CHECK(resolved.held_in(resolved.file.sets[0]) == std::vector<std::string>{"blobs/a", "blobs/b"});
  CHECK_FALSE(plan.fixed.empty());
  CHECK_FALSE(plan.choices.empty());
}

TEST_CASE("cells share work, and costs distinguish it from time spent", "[sweep][train]") {
  BlobSweep blobs;
  blobs.json()["methods"] =
      Json::parse(R"([{"method": "ties", "tune": {"scale": [0.5, 1.0, 1.5]}}])");

  const SweepSummary summary = blobs.run();

  CHECK(summary.failed == 0);
  CHECK(summary.merge_s > 0);
  CHECK(summary.evaluate_s > 0);
  CHECK(summary.shared_s > 0);
  // Alone, each point of the grid would do the same work as the others.
  std::map<std::string, std::set<int64_t>> flops_alone;
  int shared = 0;
  for (const auto& placed : blobs.results().runs) {
    if (placed.placement.variant != "grid" || placed.run.kind != RunKind::kMerge) continue;
    int64_t flops = 0;
    for (const auto& [phase, cost] : placed.run.costs)
      if (phase != "evaluation") flops += *cost.flops;
    flops_alone[placed.placement.set].insert(flops);
    shared += static_cast<int>(placed.run.costs.contains(kSharedPhase));
  }
  CHECK(shared >= 4);
  CHECK(flops_alone.size() == 2);
  for (const auto& [set, flops] : flops_alone) CHECK(flops.size() == 1);
}
