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
                               const std::vector<std::string>& usual)
    : TextBasics(reader, known, usual) {
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
}

TextTask::TextTask(std::string name, const Json& json,
                   std::shared_ptr<const TextDefinition> definition, const std::string& rule)
    : TextDataTask(std::move(name), json, definition, rule), text_(std::move(definition)) {}

void TextTask::check_split(Split split) const {
  TextDataTask::check_split(split);
  if (text_->few_shot_split) text_->data.check_files(*text_->few_shot_split);
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
  if (!model)
    user_error("the task '{}' asks for a language model; this model is {}", name(),
               predictor.what());
  return evaluate_answers(model->evaluator().answer(requests(split)), split);
}

std::vector<MetricResult> TextTask::evaluate_answers(const TextResponses& answers,
                                                     Split split) const {
  return score(*text_->data.items(split), answers);
}

}  // namespace assay
