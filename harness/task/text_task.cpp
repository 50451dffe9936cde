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
  if (const auto few_shot = reader.find("few_shot")) read_few_shot(*few_shot);
  if (const auto template_of_chats = reader.find("chat")) {
    chat.emplace(template_of_chats->json(), template_of_chats->where());
    delimiter = "";  // the template is between a prompt and its answer
  }
}

void TextDefinition::read_few_shot(JsonReader few_shot) {
  if (const auto items = few_shot.find("items")) {
    for (const JsonReader& item : items->elements()) {
      if (!item.is_object()) item.fail("expected an object with the fields of an item");
      few_shot_items.push_back({item.json(), item.where()});
    }
  } else {
    few_shot_split = split_from_name(few_shot.string("split"), few_shot.where());
    if (!data.has(*few_shot_split))
      few_shot.at("split").fail(
          fmt::format("the dataset has files for {} only", fmt::join(data.splits(), ", ")));
  }
  few_shot_count = few_shot.at("count").as_integer();
  if (few_shot_count < 1) few_shot.at("count").fail("expected at least 1");
  if (const auto text = few_shot.find("separator")) few_shot_separator = plain_text(*text);
  few_shot.finish();
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

TextTask::Example TextTask::example(const TextItem& item) const {
  const Solution solved = solution(item);
  return {prompt_of(solved.choice).fill(item), solved.text};
}

// An item is never its own few-shot example, even if it occurs again in another split or line.
std::vector<TextTask::Example> TextTask::few_shot_examples(const TextItem& item) const {
  if (text_->few_shot_count == 0) return {};
  const auto of_split = text_->few_shot_split ? text_->data.items(*text_->few_shot_split) : nullptr;
  const TextItems& pool = of_split ? *of_split : text_->few_shot_items;
  const Example own = example(item);
  std::vector<Example> examples;
  for (const TextItem& candidate : pool) {
    if (static_cast<int64_t>(examples.size()) == text_->few_shot_count) break;
    Example solved = example(candidate);
    if (solved.prompt + text_->delimiter + solved.answer !=
        own.prompt + text_->delimiter + own.answer)
      examples.push_back(std::move(solved));
  }
  if (static_cast<int64_t>(examples.size()) < text_->few_shot_count)
    data_error("task '{}': {} few-shot examples are requested, but {} has {} other than {}", name(),
               text_->few_shot_count,
               of_split ? fmt::format("the {} split", split_name(*text_->few_shot_split))
                        : std::string("the definition"),
               examples.size(), item.where);
  return examples;
}

std::string TextTask::context(const std::vector<Example>& examples,
                              const std::string& prompt) const {
  if (text_->chat) {
    std::vector<ChatMessage> messages;
    if (!text_->description.empty()) messages.push_back({"system", text_->description});
    for (const Example& example : examples) {
      messages.push_back({"user", example.prompt});
      messages.push_back({"assistant", example.answer});
    }
    messages.push_back({"user", prompt});
    return text_->chat->apply(messages, true);
  }
  std::string text = text_->description;
  for (const Example& example : examples)
    text += example.prompt + text_->delimiter + example.answer + text_->few_shot_separator;
  return text + prompt;
}

TextRequests TextTask::requests(Split split) const {
  TextRequests requests;
  const auto scored = items(split);
  for (const TextItem& item : *scored) add_item_requests(item, requests);
  return requests;
}

void TextTask::add_item_requests(const TextItem& item, TextRequests& requests) const {
  const std::vector<Example> examples = few_shot_examples(item);
  add_requests(
      item, [&](size_t choice) { return context(examples, prompt_of(choice).fill(item)); },
      requests);
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
      entry.solution = {context(few_shot_examples(item), prompt_of(solved.choice).fill(item)),
                        text_->delimiter + solved.text,
                        fmt::format("task '{}': {}", name(), item.where)};
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
