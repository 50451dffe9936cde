#include "harness/task/text_task.h"

#include "harness/core/error.h"
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

}  // namespace

TextDefinition::TextDefinition(JsonReader& reader, const std::vector<std::string>& known,
                               const std::vector<std::string>& default_metrics)
    : TextDataDefinition(reader, known, default_metrics) {
  if (const auto text = reader.find("description")) description = plain_text(*text);
  if (const auto template_text = reader.find("prompt")) prompt = read_prompt(*template_text);
  if (const auto text = reader.find("delimiter")) delimiter = plain_text(*text);
  if (auto few_shot = reader.find("few_shot")) {
    few_shot_split = split_from_name(few_shot->string("split"), few_shot->where());
    few_shot_count = few_shot->at("count").as_integer();
    if (few_shot_count < 1) few_shot->at("count").fail("expected at least 1");
    if (!data.has(*few_shot_split))
      few_shot->at("split").fail(
          fmt::format("the dataset has files for {} only", fmt::join(data.splits(), ", ")));
    if (const auto text = few_shot->find("separator")) few_shot_separator = plain_text(*text);
    few_shot->finish();
  }
}

TextTask::TextTask(std::string name, const Json& json,
                   std::shared_ptr<const TextDefinition> definition, const std::string& rule)
    : TextDataTask(std::move(name), json, definition, rule), text_(std::move(definition)) {}

void TextTask::check_split(Split split) const {
  std::string missing;
  try {
    TextDataTask::check_split(split);
  } catch (const DataError& e) {
    missing = e.what();
  }
  if (text_->few_shot_split && text_->few_shot_split != split) {
    try {
      text_->data.check_files(*text_->few_shot_split);
    } catch (const DataError& e) {
      missing += (missing.empty() ? "" : "\n") + std::string(e.what());
    }
  }
  if (!missing.empty()) throw DataError(missing);
}

const TextTemplate& TextTask::prompt_of(size_t choice) const {
  return text_->prompt.at(text_->prompt.size() == 1 ? 0 : choice);
}

std::string TextTask::example(const TextItem& item) const {
  const Solution solved = solution(item);
  return prompt_of(solved.choice).fill(item) + text_->delimiter + solved.text;
}

// An item is never its own few-shot example, even if it occurs again in another split or line.
std::string TextTask::few_shot_examples(const TextItem& item) const {
  if (!text_->few_shot_split) return {};
  const auto pool = text_->data.items(*text_->few_shot_split);
  const std::string own = example(item);
  std::string text;
  int64_t count = 0;
  for (const TextItem& candidate : *pool) {
    if (count == text_->few_shot_count) break;
    const std::string solved = example(candidate);
    if (solved == own) continue;
    text += solved + text_->few_shot_separator;
    ++count;
  }
  if (count < text_->few_shot_count)
    data_error(
        "task '{}': {} few-shot examples are requested, but the {} split has {} other than {}",
        name(), text_->few_shot_count, split_name(*text_->few_shot_split), count, item.where);
  return text;
}

TextRequests TextTask::requests(Split split) const {
  TextRequests requests;
  const auto scored = items(split);
  for (const TextItem& item : *scored) add_item_requests(item, requests);
  return requests;
}

void TextTask::add_item_requests(const TextItem& item, TextRequests& requests) const {
  const std::string before = text_->description + few_shot_examples(item);
  add_requests(
      item, [&](size_t choice) { return before + prompt_of(choice).fill(item); }, requests);
}

std::vector<ItemRequests> TextTask::item_requests(Split split) const {
  std::vector<ItemRequests> all;
  const auto scored = items(split);
  for (const TextItem& item : *scored) {
    ItemRequests entry{.where = item.where};
    add_item_requests(item, entry.requests);
    if (!text_->prompt.empty()) {
      const Solution solved = solution(item);
      entry.target = solved.text;
      if (entry.requests.likelihoods.size() > 1) entry.choice = solved.choice;
      entry.solution = {
          text_->description + few_shot_examples(item) + prompt_of(solved.choice).fill(item),
          text_->delimiter + solved.text, fmt::format("task '{}': {}", name(), item.where)};
    }
    all.push_back(std::move(entry));
  }
  return all;
}

std::vector<MetricResult> TextTask::evaluate(const Predictor& predictor, Split split) const {
  const LanguagePredictor* model = as_language_model(predictor);
  if (!model)
    user_error("the task '{}' needs a language model; this model is {}", name(), predictor.what());
  return evaluate_answers(model->evaluator().answer(requests(split)), split);
}

std::vector<MetricResult> TextTask::evaluate_answers(const TextResponses& answers,
                                                     Split split) const {
  return score(*items(split), answers);
}

}  // namespace assay
