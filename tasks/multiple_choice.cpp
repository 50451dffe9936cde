// Multiple choice by log-likelihood after the prompt. Metrics as in lm-evaluation-harness.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"
#include "harness/task/text_task.h"

namespace assay {
namespace {

const std::vector<std::string> kMultipleChoiceMetrics{
    "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "mc2", "brier"};
const std::vector<std::string> kMultipleChoiceDefaults{"acc", "acc_norm"};

struct ChoiceDefinition {
  std::vector<TextTemplate> choices;       // one, whose value is a list, or one per choice
  std::string label = "label";             // name of a field: an index, or one of `label_values`
  std::optional<TextTemplate> label_text;  // instead of a field
  std::optional<int64_t> constant_label;   // that of every item
  std::vector<TextTemplate> label_values;  // as `choices`; may be empty
  int64_t first_label = 0;                 // the index of the first choice
  bool list_of_indices = false;            // whether a list has the correct choices' indices
};

/// An item's choices, and which of them are correct.
struct Question {
  std::vector<std::string> choices;
  std::vector<bool> correct;
  size_t answer;  // the first correct one
};

class MultipleChoice : public TextTask {
 public:
  MultipleChoice(const std::string& name, const Json& json,
                 std::shared_ptr<const TextDefinition> text_part, ChoiceDefinition definition)
      : TextTask(name, json, std::move(text_part), "multiple_choice 2"),
        definition_(std::move(definition)) {}

 protected:
  void add_requests(const TextItem& item, const Context& context,
                    TextRequests& requests) const override;
  Solution solution(const TextItem& item) const override {
    const Question question = read(item);
    return {question.choices[question.answer], question.answer};
  }
  std::vector<MetricResult> score(const TextItems& items,
                                  const TextResponses& responses) const override;

 private:
  Question read(const TextItem& item) const;
  Json label_of(const TextItem& item) const;
  size_t index_of(const TextItem& labelled, const TextItem& item,
                  const std::vector<std::string>& choices) const;
  size_t index_in_label_values(const TextItem& labelled, const TextItem& item,
                               size_t choices) const;

  ChoiceDefinition definition_;
};

// Ties go to the first.
size_t argmax(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

std::vector<double> probabilities(const std::vector<double>& log_likelihoods) {
  const double highest = *std::max_element(log_likelihoods.begin(), log_likelihoods.end());
  std::vector<double> out;
  for (const double value : log_likelihoods) out.push_back(std::exp(value - highest));
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& value : out) value /= sum;
  return out;
}

// The texts of the templates, or the list that is the value of a single template.
std::vector<std::string> expand(const std::vector<TextTemplate>& templates, const TextItem& item) {
  if (templates.size() == 1 && templates.front().has_value()) {
    const Json values = templates.front().value(item);
    if (!values.is_array())
      data_error("{}: a list of choices is expected, found {}", item.where, values.type_name());
    return printed_elements(values, item.where);
  }
  std::vector<std::string> texts;
  for (const TextTemplate& one : templates) texts.push_back(one.fill(item));
  return texts;
}

Json MultipleChoice::label_of(const TextItem& item) const {
  if (definition_.constant_label) return *definition_.constant_label;
  if (definition_.label_text) return definition_.label_text->value(item);
  return text_field(item, definition_.label);
}

Question MultipleChoice::read(const TextItem& item) const {
  Question question;
  question.choices = expand(definition_.choices, item);
  if (question.choices.size() < 2)
    data_error("{}: {} choice(s), expected at least 2", item.where, question.choices.size());
  if (text().prompt.size() > 1 && text().prompt.size() != question.choices.size())
    data_error("{}: {} choices, but the definition has {} prompts", item.where,
               question.choices.size(), text().prompt.size());

  question.correct.resize(question.choices.size());
  // The label, by the name of its field.
  const TextItem labelled{Json{{definition_.label, label_of(item)}}, item.where};
  const Json& label = labelled.fields[definition_.label];
  if (label.is_array() && definition_.list_of_indices) {
    for (const Json& index : label) {
      const TextItem one{Json{{definition_.label, index}}, item.where};
      question.correct[index_of(one, item, question.choices)] = true;
    }
  } else if (label.is_array()) {  // one 0 or 1 per choice
    if (label.size() != question.choices.size())
      data_error("{}: {} labels for {} choices", item.where, label.size(), question.choices.size());
    for (size_t i = 0; i < label.size(); ++i) {
      question.correct[i] = label[i] == 1 || label[i] == true;
      if (!question.correct[i] && label[i] != 0 && label[i] != false)
        data_error("{}: '{}' is expected to hold 0 or 1 for every choice, found {}", item.where,
                   definition_.label, label.dump());
    }
  } else {
    question.correct[index_of(labelled, item, question.choices)] = true;
  }
  const auto first = std::find(question.correct.begin(), question.correct.end(), true);
  if (first == question.correct.end()) data_error("{}: no choice is correct", item.where);
  question.answer = static_cast<size_t>(first - question.correct.begin());
  return question;
}

// The index of the item's label among label_values.
size_t MultipleChoice::index_in_label_values(const TextItem& labelled, const TextItem& item,
                                             size_t choices) const {
  const std::vector<std::string> values = expand(definition_.label_values, item);
  // A Boolean matches as templates print it, else as in JSON.
  for (const std::string& label :
       {printed_field(labelled, definition_.label), field_text(labelled, definition_.label)}) {
    const auto it = std::find(values.begin(), values.end(), label);
    if (it == values.end()) continue;
    if (std::find(it + 1, values.end(), label) != values.end())
      data_error("{}: the label '{}' occurs twice among {}", item.where, label,
                 fmt::join(values, ", "));
    const auto index = static_cast<size_t>(it - values.begin());
    if (index < choices) return index;
    data_error("{}: the label '{}', but there are {} choices", item.where, label, choices);
  }
  throw DataError(
      unknown_name("label", field_text(labelled, definition_.label), item.where, values));
}

size_t MultipleChoice::index_of(const TextItem& labelled, const TextItem& item,
                                const std::vector<std::string>& choices) const {
  if (!definition_.label_values.empty())
    return index_in_label_values(labelled, item, choices.size());
  const Json& label = labelled.fields[definition_.label];
  const std::string text = field_text(labelled, definition_.label);
  if (label.is_number_integer() || (text.size() < 9 && !text.empty() &&
                                    text.find_first_not_of("0123456789") == std::string::npos)) {
    // Saturates instead of wrapping around when a number is too large for the type.
    const bool fits = !label.is_number_unsigned() ||
                      label.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
    const int64_t value = !fits               ? std::numeric_limits<int64_t>::max()
                          : label.is_number() ? label.get<int64_t>()
                                              : std::stoll(text);
    const int64_t first = definition_.first_label;
    if (value >= first && value < first + static_cast<int64_t>(choices.size()))
      return static_cast<size_t>(value - first);
    data_error("{}: the label '{}', but there are {} choices", item.where, text, choices.size());
  }
  // The label is the text of exactly one choice.
  if (std::count(choices.begin(), choices.end(), text) == 1)
    return static_cast<size_t>(std::find(choices.begin(), choices.end(), text) - choices.begin());
  data_error(
      "{}: the label '{}' is neither an index nor the text of exactly one choice; "
      "'label_values' in the task's definition lists other labels",
      item.where, text);
}

void MultipleChoice::add_requests(const TextItem& item, const Context& context,
                                  TextRequests& requests) const {
  const Question question = read(item);
  for (size_t i = 0; i < question.choices.size(); ++i) {
    if (question.choices[i].empty()) data_error("{}: choice {} is empty", item.where, i + 1);
    const std::string where = fmt::format("task '{}': {} choice {}", name(), item.where, i + 1);
    requests.likelihoods.push_back({context(i), text().delimiter + question.choices[i], where});
    if (reports("acc_mutual_info"))
      requests.likelihoods.push_back({"", text().delimiter + question.choices[i], where});
  }
}

std::vector<MetricResult> MultipleChoice::score(const TextItems& items,
                                                const TextResponses& responses) const {
  std::map<std::string, std::vector<double>> outcomes;
  const bool mutual = reports("acc_mutual_info");
  size_t next = 0;
  for (const TextItem& item : items) {
    const Question question = read(item);
    std::vector<double> unnormalized, by_characters, by_bytes, information;
    for (const std::string& choice : question.choices) {
      const double value = responses.likelihoods.at(next++).log_likelihood;
      unnormalized.push_back(value);
      by_characters.push_back(value / static_cast<double>(count_characters(choice)));
      by_bytes.push_back(value / static_cast<double>(choice.size()));
      if (mutual) information.push_back(value - responses.likelihoods.at(next++).log_likelihood);
    }
    const auto correct = [&](const std::vector<double>& values) {
      return question.correct[argmax(values)] ? 1 : 0;
    };
    outcomes["acc"].push_back(correct(unnormalized));
    outcomes["acc_norm"].push_back(correct(by_characters));
    outcomes["acc_bytes"].push_back(correct(by_bytes));
    if (mutual) outcomes["acc_mutual_info"].push_back(correct(information));
    double mass = 0, brier = 0;
    const std::vector<double> probability = probabilities(unnormalized);
    for (size_t i = 0; i < probability.size(); ++i) {
      const double target = question.correct[i] ? 1 : 0;
      mass += target * probability[i];
      brier += (probability[i] - target) * (probability[i] - target);
    }
    outcomes["mc2"].push_back(std::min(mass, 1.0));
    outcomes["brier"].push_back(brier);
  }
  std::vector<MetricResult> results;
  for (auto& [metric, values] : outcomes) results.push_back(mean_of(metric, std::move(values)));
  return select_metrics(std::move(results));
}

std::shared_ptr<const Task> make_multiple_choice(const std::string& name, JsonReader reader) {
  auto shared =
      std::make_shared<TextDefinition>(reader, kMultipleChoiceMetrics, kMultipleChoiceDefaults);
  if (shared->prompt.empty()) reader.at("prompt");
  ChoiceDefinition definition;
  const JsonReader choices = reader.at("choices");
  if (choices.is_array()) {
    for (const JsonReader& choice : choices.elements()) definition.choices.emplace_back(choice);
    if (definition.choices.size() < 2) choices.fail("expected at least 2 choices");
  } else {
    definition.choices.emplace_back(choices);
    if (!definition.choices.front().has_value())
      choices.fail(
          "expected a list of choices, or the one field that holds them, as '{{choices}}'");
  }
  if (const auto label = reader.find("label")) {
    if (label->json().is_number_integer())
      definition.constant_label = label->as_integer();
    else if (label->as_string().find("{{") != std::string::npos)
      definition.label_text.emplace(*label);
    else
      definition.label = label->as_string();
  }
  if (const auto values = reader.find("label_values")) {
    if (values->is_array())
      for (const JsonReader& value : values->elements())
        definition.label_values.emplace_back(value);
    else if (!definition.label_values.emplace_back(*values).has_value())
      values->fail("expected a list, or the one field that holds it, as '{{choices.label}}'");
  }
  definition.first_label = reader.integer("first_label", 0);
  if (const auto list = reader.find("label_list")) {
    const std::string kind = list->as_string();
    if (kind != "flags" && kind != "indices")
      list->fail(fmt::format("expected \"flags\" or \"indices\", found \"{}\"", kind));
    definition.list_of_indices = kind == "indices";
  }
  reader.finish();
  return std::make_shared<MultipleChoice>(name, reader.json(), std::move(shared),
                                          std::move(definition));
}

ASSAY_TASK_KIND("multiple_choice", make_multiple_choice)

}  // namespace
}  // namespace assay
