#include "harness/task/text_task.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/lm/language_predictor.h"

namespace assay {
namespace {

std::vector<TextTemplate> read_prompt(const JsonReader& prompt) {
  std::vector<TextTemplate> templates;
  if (prompt.is_array())
    for (const JsonReader& element : prompt.elements()) templates.emplace_back(element);
  else
    templates.emplace_back(prompt);
  if (templates.empty()) prompt.fail("expected a prompt, or one per choice");
  return templates;
}

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

}  // namespace

TextDefinition::TextDefinition(JsonReader& reader, const std::vector<std::string>& known,
                               const std::vector<std::string>& usual)
    : data(reader.at("dataset")) {
  description = reader.string("description", "");
  if (const auto template_text = reader.find("prompt")) prompt = read_prompt(*template_text);
  delimiter = reader.string("delimiter", " ");
  if (auto few_shot = reader.find("few_shot")) {
    few_shot_split = split_from_name(few_shot->string("split"), few_shot->where());
    few_shot_count = few_shot->at("count").as_integer();
    if (few_shot_count < 1) few_shot->at("count").fail("expected at least 1");
    if (!data.has(*few_shot_split))
      few_shot->at("split").fail(
          fmt::format("the dataset has files for {} only", fmt::join(data.splits(), ", ")));
    few_shot_separator = few_shot->string("separator", "\n\n");
    few_shot->finish();
  }
  metrics = read_metrics(reader, known, usual);
  if (const auto family = reader.find("family")) family->as_string();
  if (const auto version = reader.find("version")) version->as_integer();
}

TextTask::TextTask(std::string name, const Json& json,
                   std::shared_ptr<const TextDefinition> definition, const std::string& rule)
    : Task(std::move(name),
           Hasher().text(rule).text(canonical(json)).text(definition->data.hash()).hex(), json),
      text_(std::move(definition)) {}

void TextTask::check_split(Split split) const {
  if (!text_->data.has(split))
    user_error("the task '{}' has no {} split: its dataset has files for {}", name(),
               split_name(split), fmt::join(text_->data.splits(), ", "));
  text_->data.check_files(split);
}

int64_t TextTask::size(Split split) const {
  return text_->data.has(split) ? static_cast<int64_t>(text_->data.items(split)->size()) : 0;
}

Examples TextTask::examples(Split) const {
  user_error("the task '{}' is about text: no recipe can train on it", name());
}

const TextTemplate& TextTask::prompt_of(size_t choice) const {
  return text_->prompt.at(text_->prompt.size() == 1 ? 0 : choice);
}

std::string TextTask::example(const TextItem& item) const {
  const Solution solved = solution(item);
  return prompt_of(solved.choice).fill(item) + text_->delimiter + solved.text;
}

// An item is no example for itself.
std::string TextTask::solved_examples(Split split, const TextItem& item) const {
  if (!text_->few_shot_split) return {};
  const auto pool = text_->data.items(*text_->few_shot_split);
  std::string text;
  int64_t count = 0;
  for (const TextItem& candidate : *pool) {
    if (count == text_->few_shot_count) break;
    if (*text_->few_shot_split == split && candidate.where == item.where) continue;
    text += example(candidate) + text_->few_shot_separator;
    ++count;
  }
  if (count < text_->few_shot_count)
    data_error("task '{}': {} solved examples are asked for, but the {} split has {}", name(),
               text_->few_shot_count, split_name(*text_->few_shot_split), count);
  return text;
}

TextRequests TextTask::requests(Split split) const {
  TextRequests requests;
  const auto items = text_->data.items(split);
  for (const TextItem& item : *items) {
    const std::string before = text_->description + solved_examples(split, item);
    ask(
        item, [&](size_t choice) { return before + prompt_of(choice).fill(item); }, requests);
  }
  return requests;
}

std::vector<MetricResult> TextTask::evaluate(const Predictor& predictor, Split split) const {
  const LanguagePredictor* model = as_language_model(predictor);
  if (!model) user_error("the task '{}' needs a language model, and this model is none", name());
  return evaluate_answers(model->evaluator().answer(requests(split)), split);
}

std::vector<MetricResult> TextTask::evaluate_answers(const TextResponses& answers,
                                                     Split split) const {
  return score(*text_->data.items(split), answers);
}

bool TextTask::reports(const std::string& metric) const {
  return std::find(text_->metrics.begin(), text_->metrics.end(), metric) != text_->metrics.end();
}

std::vector<MetricResult> TextTask::chosen(std::vector<MetricResult> all) const {
  std::vector<MetricResult> results;
  for (const std::string& metric : text_->metrics) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const MetricResult& result) {
      return result.metric == metric;
    });
    ASSAY_CHECK(found != all.end(), "the metric {} of task {}", metric, name());
    results.push_back(std::move(*found));
  }
  return results;
}

MetricResult mean_of(std::string metric, std::vector<float> outcomes) {
  double sum = 0;
  for (const float outcome : outcomes) sum += static_cast<double>(outcome);
  const double value = sum / static_cast<double>(outcomes.size());
  return {std::move(metric), value, std::move(outcomes)};
}

}  // namespace assay
