#include "harness/task/internal/text_data_task.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

std::vector<std::string> read_metrics(JsonReader& reader, const std::vector<std::string>& known,
                                      const std::vector<std::string>& usual) {
  const auto list = reader.find("metrics");
  if (!list) return usual;
  std::vector<std::string> metrics;
  for (const JsonReader& element : list->elements()) {
    const std::string metric = element.as_string();
    if (std::find(known.begin(), known.end(), metric) == known.end())
      throw UserError(unknown_name("metric", metric, element.where(), known));
    if (std::find(metrics.begin(), metrics.end(), metric) != metrics.end())
      element.fail("the metric stands twice");
    metrics.push_back(metric);
  }
  if (metrics.empty()) list->fail("expected at least one metric");
  return metrics;
}

// The definition in which the data are named by what they are.
std::string identity_of(Json definition, const TextData& data) {
  definition["dataset"] = data.identity();
  return canonical(definition);
}

}  // namespace

TextBasics::TextBasics(JsonReader& reader, const std::vector<std::string>& known,
                       const std::vector<std::string>& usual)
    : data(reader.at("dataset")), metrics(read_metrics(reader, known, usual)) {
  if (const auto family = reader.find("family")) family->as_string();
  if (const auto version = reader.find("version")) version->as_integer();
  if (const auto most = reader.find("limit")) {
    limit = most->as_integer();
    if (limit < 1) most->fail("expected at least 1");
  }
}

TextDataTask::TextDataTask(std::string name, const Json& json,
                           std::shared_ptr<const TextBasics> basics, const std::string& rule)
    : Task(
          std::move(name),
          Hasher().text(rule).text(identity_of(json, basics->data)).text(basics->data.hash()).hex(),
          json),
      basics_(std::move(basics)) {}

void TextDataTask::check_split(Split split) const {
  if (!basics_->data.has(split))
    user_error("the task '{}' has no {} split: its dataset has files for {}", name(),
               split_name(split), fmt::join(basics_->data.splits(), ", "));
  basics_->data.check_files(split);
}

int64_t TextDataTask::size(Split split) const {
  return basics_->data.has(split) ? static_cast<int64_t>(items(split)->size()) : 0;
}

std::shared_ptr<const TextItems> TextDataTask::items(Split split) const {
  std::shared_ptr<const TextItems> all = basics_->data.items(split);
  const auto size = static_cast<int64_t>(all->size());
  if (basics_->limit < 0 || basics_->limit >= size) return all;
  return std::make_shared<const TextItems>(all->begin(), all->begin() + basics_->limit);
}

Examples TextDataTask::examples(Split) const {
  user_error("the task '{}' is about text: no recipe can train on it", name());
}

bool TextDataTask::reports(const std::string& metric) const {
  return std::find(basics_->metrics.begin(), basics_->metrics.end(), metric) !=
         basics_->metrics.end();
}

std::vector<MetricResult> TextDataTask::chosen(std::vector<MetricResult> all) const {
  std::vector<MetricResult> results;
  for (const std::string& metric : basics_->metrics) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const MetricResult& result) {
      return result.metric == metric;
    });
    ASSAY_CHECK(found != all.end(), "the metric {} of task {}", metric, name());
    results.push_back(std::move(*found));
  }
  return results;
}

}  // namespace assay
