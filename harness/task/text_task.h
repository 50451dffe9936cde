/// What the kinds of task that ask a language model about text have in common: prompts, solved
/// examples in front, and the way from requests to answers.
#pragma once

#include <functional>
#include <optional>

#include "harness/lm/requests.h"
#include "harness/task/internal/text_data_task.h"
#include "harness/task/internal/text_template.h"

namespace assay {

/// The keys of a definition that all text kinds take. See docs/adding-a-task.md.
struct TextDefinition : TextBasics {
  /// Takes its keys from the reader and leaves the others to the kind; see TextBasics.
  TextDefinition(JsonReader& reader, const std::vector<std::string>& known,
                 const std::vector<std::string>& usual);

  std::string description;           ///< stands before everything
  std::vector<TextTemplate> prompt;  ///< one, or one per choice
  std::string delimiter = " ";       ///< between a prompt and what follows it
  std::optional<Split> few_shot_split;
  int64_t few_shot_count = 0;
  std::string few_shot_separator = "\n\n";
};

class TextTask : public TextDataTask {
 public:
  /// Has the model answer the requests and scores the answers. UserError when the predictor is no
  /// language model.
  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const final;
  /// The split's files and those of the solved examples.
  void check_split(Split split) const final;
  TextRequests requests(Split split) const final;
  std::vector<AskedItem> asked(Split split) const final;
  std::vector<MetricResult> evaluate_answers(const TextResponses& answers, Split split) const final;

 protected:
  /// `rule`: the kind's name and the version of its rule, "multiple_choice 2".
  TextTask(std::string name, const Json& json, std::shared_ptr<const TextDefinition> definition,
           const std::string& rule);

  /// Adds the requests of one item. `context` is its prompt (of the choice, when there are several)
  /// with the description and the solved examples before it.
  using Context = std::function<std::string(size_t choice)>;
  virtual void ask(const TextItem& item, const Context& context, TextRequests& requests) const = 0;
  /// What stands after the prompt in a solved example, without the delimiter, and the prompt to
  /// take of those given per choice.
  struct Solution {
    std::string text;
    size_t choice = 0;
  };
  virtual Solution solution(const TextItem& item) const = 0;
  /// All metrics that the definition asks for. `responses` are those to requests(split), in order.
  virtual std::vector<MetricResult> score(const TextItems& items,
                                          const TextResponses& responses) const = 0;

  const TextDefinition& text() const { return *text_; }

 private:
  std::string solved_examples(const TextItem& item) const;
  void ask_item(const TextItem& item, TextRequests& requests) const;
  std::string example(const TextItem& item) const;
  const TextTemplate& prompt_of(size_t choice) const;

  std::shared_ptr<const TextDefinition> text_;
};

}  // namespace assay
