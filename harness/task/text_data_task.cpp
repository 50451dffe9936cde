#include "harness/task/text_data_task.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

std::vector<std::string> read_metrics(JsonReader& reader, const std::vector<std::string>& known,
                                      const std::vector<std::string>& default_metrics) {
  const auto list = reader.find("metrics");
  if (!list) return default_metrics;
  std::vector<std::string> metrics;
  for (const JsonReader& element : list->elements()) {
    const std::string metric = element.as_string();
    if (std::find(known.begin(), known.end(), metric) == known.end())
      throw UserError(unknown_name("metric", metric, element.where(), known));
    if (std::find(metrics.begin(), metrics.end(), metric) != metrics.end())
      element.fail("the metric occurs twice");
    metrics.push_back(metric);
  }
  if (metrics.empty()) list->fail("expected at least one metric");
  return metrics;
}

// The definition with the data identified by content.
std::string identity_of(Json definition, const TextData& data) {
  definition["dataset"] = data.identity();
  return canonical(definition);
}

}  // namespace

TextDataDefinition::TextDataDefinition(JsonReader& reader, const std::vector<std::string>& known,
                                       const std::vector<std::string>& default_metrics)
    : data(reader.at("dataset")), metrics(read_metrics(reader, known, default_metrics)) {
  if (const auto family = reader.find("family")) family->as_string();
  if (const auto version = reader.find("version")) version->as_integer();
  if (const auto value = reader.find("limit")) {
    limit = value->as_integer();
    if (limit < 1) value->fail("expected at least 1");
  }
}

TextDataTask::TextDataTask(std::string name, const Json& json,
                           std::shared_ptr<const TextDataDefinition> definition,
                           const std::string& rule)
    : Task(std::move(name),
           Hasher()
               .text(rule)
               .text(identity_of(json, definition->data))
               .text(definition->data.hash())
               .hex(),
           json),
      data_definition_(std::move(definition)) {}

void TextDataTask::check_split(Split split) const {
  if (!data_definition_->data.has(split))
    user_error("the task '{}' has no {} split: its dataset has files for {}", name(),
               split_name(split), fmt::join(data_definition_->data.splits(), ", "));
  data_definition_->data.check_files(split);
}

int64_t TextDataTask::size(Split split) const {
  return data_definition_->data.has(split) ? static_cast<int64_t>(items(split)->size()) : 0;
}

std::shared_ptr<const TextItems> TextDataTask::items(Split split) const {
  std::shared_ptr<const TextItems> all = data_definition_->data.items(split);
  const auto size = static_cast<int64_t>(all->size());
  if (data_definition_->limit < 0 || data_definition_->limit >= size) return all;
  return std::make_shared<const TextItems>(all->begin(), all->begin() + data_definition_->limit);
}

Examples TextDataTask::examples(Split) const {
  user_error("the task '{}' is about text: its examples are no tensors", name());
}

bool TextDataTask::reports(const std::string& metric) const {
  return std::find(data_definition_->metrics.begin(), data_definition_->metrics.end(), metric) !=
         data_definition_->metrics.end();
}

std::vector<MetricResult> TextDataTask::select_metrics(std::vector<MetricResult> all) const {
  std::vector<MetricResult> results;
  for (const std::string& metric : data_definition_->metrics) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const MetricResult& result) {
      return result.metric == metric;
    });
    ASSAY_CHECK(found != all.end(), "the metric {} of task {}", metric, name());
    results.push_back(std::move(*found));
  }
  return results;
}

}  // namespace assay
