#include "harness/calibration/job.h"
#include "harness/calibration/statistic_file.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// A checkpoint of a small perceptron and a job for it.
class JobFolder {
 public:
  JobFolder() {
    const auto mlp = toy_mlp(4, 3, 2);
    CheckpointExtras extras;
    extras.config = mlp->config();
    write_checkpoint(folder_.path() / "model", mlp->initial_weights(1), extras, false);
  }

  StatisticInputs inputs() const {
    ++opened;
    return {Checkpoint::open(folder_.path() / "model"),
            {toy_task("toy/a", noise({20, 4}, 1), at::zeros({20}, at::kLong))}};
  }
  StatisticJob job(const StatisticRef& statistic = {"input_gram"},
                   const CalibrationSpec& spec = {.examples = 10}) const {
    const auto checkpoint = Checkpoint::open(folder_.path() / "model");
    const Computation computation = open_computation(*checkpoint);
    return statistic_job(statistic,
                         {checkpoint->path().string(), "", checkpoint->content_hash(),
                          computation_hash(*computation.architecture, nullptr)},
                         {{"toy/a", hash_text("toy/a")}}, spec);
  }
  std::shared_ptr<const StatisticFile> compute(const StatisticJob& wanted) const {
    return compute_or_open(wanted, [&] { return inputs(); });
  }

  mutable int opened = 0;

 private:
  TemporaryFolder folder_;
  EnvironmentVariable statistics_{"ASSAY_STATISTICS_DIR", (folder_.path() / "kept").string()};
};

}  // namespace

TEST_CASE("a statistic is computed once and kept with its job and cost", "[calibration]") {
  const JobFolder folder;
  const StatisticJob job = folder.job();
  const auto made = folder.compute(job);
  CHECK(made->path() == statistic_path(job));
  CHECK(made->job().key() == job.key());
  CHECK(made->examples() == 10);
  CHECK(made->rows().at("hidden.weight") == 10);
  CHECK(made->layers().size() == 2);
  CHECK(made->bytes() == 4 * (4 * 4 + 3 * 3));
  CHECK(made->cost().examples == 10);
  CHECK(made->cost().flops.value_or(0) > 0);
  made->verify();
  const auto again = folder.compute(job);
  CHECK(folder.opened == 1);
  CHECK(at::equal(again->read("head.weight"), made->read("head.weight")));
}

TEST_CASE("a job's key covers what its bytes depend on", "[calibration]") {
  const JobFolder folder;
  const StatisticJob job = folder.job();
  CHECK(folder.job({"input_gram", {{"compute", "float32"}}}).key() == job.key());
  CHECK(folder.job({"input_gram", {{"compute", "float64"}}}).key() != job.key());
  CHECK(folder.job({"fisher"}).key() != job.key());
  for (const CalibrationSpec& spec :
       {CalibrationSpec{.split = Split::kTrain, .examples = 10}, CalibrationSpec{.examples = 11},
        CalibrationSpec{.examples = 10, .seed = 1},
        CalibrationSpec{.examples = 10, .max_tokens = 9}})
    CHECK(folder.job({"input_gram"}, spec).key() != job.key());
  StatisticJob other = job;
  other.model.hash += "0";
  CHECK(other.key() != job.key());
  other = job;
  other.tasks[0].hash += "0";
  CHECK(other.key() != job.key());
  other = job;
  other.model.path = "/elsewhere";
  CHECK(other.key() == job.key());
  other.device = "cuda:1";
  CHECK(other.key() != job.key());

  const Json json = job;
  CHECK(json.get<StatisticJob>().key() == job.key());
  CHECK(Json(json.get<StatisticJob>()) == json);
  CHECK_THROWS_WITH(folder.job({"input_grams"}), Contains("'input_gram'"));
}

TEST_CASE("a broken statistic is computed again, one of other data refused", "[calibration]") {
  const JobFolder folder;
  const StatisticJob job = folder.job();
  const auto path = statistic_path(job);
  const std::string content = [&] {
    folder.compute(job);
    return read_file(path);
  }();
  write_file(path, content.substr(0, content.size() - 1));
  CHECK_THROWS_AS(StatisticFile::open(path), DataError);
  folder.compute(job);
  CHECK(folder.opened == 2);
  CHECK(read_file(path).size() >= content.size() - 100);

  std::string changed = content;
  changed.back() ^= 1;
  write_file(path, changed);
  CHECK_THROWS_WITH(StatisticFile::open(path)->verify(), Contains("content hash"));

  StatisticJob stale = job;
  stale.model.hash += "0";
  CHECK_THROWS_WITH(folder.compute(stale), Contains("the model changed"));
  stale = job;
  stale.tasks[0].hash += "0";
  CHECK_THROWS_WITH(folder.compute(stale), Contains("'toy/a' changed"));
}
