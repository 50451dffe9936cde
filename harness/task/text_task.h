/// Base of the task kinds that evaluate language models on text: prompts, few-shot examples,
/// requests and answers.
#pragma once

#include <functional>
#include <optional>

#include "harness/lm/requests.h"
#include "harness/task/text_data_task.h"
#include "harness/task/text_template.h"
#include "harness/tokenizer/chat_template.h"

namespace assay {

/// The keys of a definition that these kinds share. See docs/adding-a-task.md.
struct TextDefinition : TextDataDefinition {
  /// Reads its keys and leaves the others to the kind; see TextDataDefinition.
  TextDefinition(JsonReader& reader, const std::vector<std::string>& known,
                 const std::vector<std::string>& default_metrics);

  std::string description;           ///< precedes the few-shot examples
  std::vector<TextTemplate> prompt;  ///< one, or one per choice
  std::string delimiter = " ";       ///< between a prompt and its answer
  std::optional<Split> few_shot_split;
  TextItems few_shot_items;  ///< instead of a split
  int64_t few_shot_count = 0;
  std::string few_shot_separator = "\n\n";
  /// Prompts are chats: the description is the system's message, few-shot examples are turns.
  std::optional<ChatTemplate> chat;

 private:
  void read_few_shot(JsonReader few_shot);
};

class TextTask : public TextDataTask {
 public:
  /// Evaluates the requests with the model and scores the answers. UserError when the predictor is
  /// not a language model.
  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const final;
  /// Checks the split's files and those of the few-shot examples.
  void check_split(Split split) const final;
  TextRequests requests(Split split) const final;
  std::vector<ItemRequests> item_requests(Split split) const final;
  std::vector<MetricResult> evaluate_answers(const TextResponses& answers, Split split) const final;

 protected:
  /// `rule`: the kind's name and the version of its rule, "multiple_choice 2".
  TextTask(std::string name, const Json& json, std::shared_ptr<const TextDefinition> definition,
           const std::string& rule);

  /// Adds the requests of one item. `context`: description, few-shot examples and the item's prompt
  /// (that of the choice, when there are several), as text or as the text of a chat.
  using Context = std::function<std::string(size_t choice)>;
  virtual void add_requests(const TextItem& item, const Context& context,
                            TextRequests& requests) const = 0;
  /// The answer in a few-shot example, without the delimiter, and the index of its prompt when
  /// there is one per choice.
  struct Solution {
    std::string text;
    size_t choice = 0;
  };
  virtual Solution solution(const TextItem& item) const = 0;
  /// All metrics of the definition. `responses` are those to requests(split), in order.
  virtual std::vector<MetricResult> score(const TextItems& items,
                                          const TextResponses& responses) const = 0;

  const TextDefinition& text() const { return *text_; }

 private:
  struct Example {
    std::string prompt, answer;
  };
  Example example(const TextItem& item) const;
  std::vector<Example> few_shot_examples(const TextItem& item) const;
  std::string context(const std::vector<Example>& examples, const std::string& prompt) const;
  void add_item_requests(const TextItem& item, TextRequests& requests) const;
  const TextTemplate& prompt_of(size_t choice) const;

  std::shared_ptr<const TextDefinition> text_;
};

}  // namespace assay
