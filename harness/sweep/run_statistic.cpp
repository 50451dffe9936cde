#include "harness/sweep/run_statistic.h"

#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

std::string run_statistic(ExecutionContext& context, const StatisticJob& job) {
  count_operator_flops();
  try {
    context.statistic(job);
    return "";
  } catch (const std::exception& e) {
    return valid_utf8(e.what());
  } catch (...) {
    return "something was thrown that is no std::exception";
  }
}

std::shared_ptr<const StatisticFile> open_statistic(const StatisticJob& job) {
  const fs::path path = statistic_path(job);
  if (!fs::exists(path)) return nullptr;
  try {
    auto file = StatisticFile::open(path);
    return file->job().key() == job.key() ? file : nullptr;
  } catch (const DataError&) {  // compute_or_open() says so and makes it again
    return nullptr;
  }
}

StatisticRecord statistic_record(const StatisticFile& statistic) {
  const StatisticJob& job = statistic.job();
  Json data = calibration_json(job.data);
  data["used"] = statistic.examples();
  data["tasks"] = Json::array();
  for (const StatisticJob::OwnTask& task : job.tasks)
    data["tasks"].push_back({{"name", task.name}, {"hash", task.hash}});
  return {job.key(),      job.statistic,   job.version,       job.parameters,
          job.model.hash, std::move(data), statistic.bytes(), statistic.cost()};
}

}  // namespace assay
