// Perplexity of texts: rolling log-likelihood in windows of the model's maximum length, per word,
// byte and token.
#include <cmath>
#include <numbers>

#include "harness/core/error.h"
#include "harness/core/whitespace.h"
#include "harness/task/text_task.h"
#include "tasks/perplexity_metric.h"

namespace assay {
namespace {

const std::vector<std::string> kPerplexityMetrics{"word_perplexity", "byte_perplexity",
                                                  "bits_per_byte", "token_perplexity"};

struct PerplexityDefinition {
  TextTemplate document;  // what is scored
  TextTemplate counted;   // the words and bytes of this text are counted
  int64_t window = 0;
  bool repeat_bos = false;
};

class Perplexity : public TextTask {
 public:
  Perplexity(const std::string& name, const Json& json,
             std::shared_ptr<const TextDefinition> shared, PerplexityDefinition definition)
      : TextTask(name, json, std::move(shared), "perplexity 2"),
        definition_(std::move(definition)) {}

 protected:
  void add_requests(const TextItem& item, const Context&, TextRequests& requests) const override {
    RollingRequest request{definition_.document.fill(item), definition_.window,
                           fmt::format("task '{}': {}", name(), item.where),
                           definition_.repeat_bos};
    if (request.text.empty() || definition_.counted.fill(item).empty())
      data_error("{}: the text is empty", request.where);
    requests.rolling.push_back(std::move(request));
  }

  Solution solution(const TextItem&) const override {
    user_error("task '{}': texts have no few-shot examples", name());
  }

  std::vector<MetricResult> score(const TextItems& items,
                                  const TextResponses& responses) const override {
    std::vector<double> log_likelihoods, words, bytes, tokens;
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string counted = definition_.counted.fill(items[i]);
      log_likelihoods.push_back(responses.rolling.at(i).log_likelihood);
      words.push_back(static_cast<double>(count_words(counted)));
      bytes.push_back(static_cast<double>(counted.size()));
      tokens.push_back(static_cast<double>(responses.rolling.at(i).tokens));
    }
    return select_metrics({perplexity_of("word_perplexity", log_likelihoods, words),
                           perplexity_of("byte_perplexity", log_likelihoods, bytes),
                           bits_of("bits_per_byte", log_likelihoods, bytes),
                           perplexity_of("token_perplexity", log_likelihoods, tokens)});
  }

 private:
  PerplexityDefinition definition_;
};

std::shared_ptr<const Task> make_perplexity(const std::string& name, JsonReader reader) {
  auto shared = std::make_shared<TextDefinition>(reader, kPerplexityMetrics, kPerplexityMetrics);
  if (!shared->prompt.empty()) reader.at("prompt").fail("texts are scored without a prompt");
  if (shared->few_shot_split) reader.at("few_shot").fail("texts have no few-shot examples");
  static const Json whole_text = "{{text}}";
  PerplexityDefinition definition;
  const auto document = reader.find("text");
  definition.document = TextTemplate(document ? *document : JsonReader(whole_text, "the default"));
  const auto counted = reader.find("counted_text");
  definition.counted = counted ? TextTemplate(*counted) : definition.document;
  if (const auto window = reader.find("window")) {
    definition.window = window->as_integer();
    if (definition.window < 1) window->fail("expected at least 1");
  }
  definition.repeat_bos = reader.boolean("repeat_bos", false);
  reader.finish();
  return std::make_shared<Perplexity>(name, reader.json(), std::move(shared),
                                      std::move(definition));
}

ASSAY_TASK_KIND("perplexity", make_perplexity)

}  // namespace
}  // namespace assay
