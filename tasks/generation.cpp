// Greedy generation, compared with one or more reference answers; the best score counts.
#include <algorithm>
#include <functional>

#include "harness/core/error.h"
#include "harness/task/text_task.h"
#include "tasks/answer_metrics.h"

namespace assay {
namespace {

const std::vector<std::string> kGenerationMetrics{
    "exact_match", "strict_match", "flexible_match", "squad_em", "squad_f1", "rouge_l", "chrf"};

struct GenerationDefinition {
  TextTemplate target;  // its value may be a list of targets
  std::string targets;  // alternative: a field with a list of targets
  std::vector<std::string> stop;
  int64_t max_tokens = 256;
  ExactMatchOptions exact{};
};

class GenerationTask : public TextTask {
 public:
  GenerationTask(const std::string& name, const Json& json,
                 std::shared_ptr<const TextDefinition> shared, GenerationDefinition definition)
      : TextTask(name, json, std::move(shared), "generation 2"),
        definition_(std::move(definition)) {}

 protected:
  void add_requests(const TextItem& item, const Context& context,
                    TextRequests& requests) const override {
    references(item);
    requests.generations.push_back({context(0), definition_.stop, definition_.max_tokens,
                                    fmt::format("task '{}': {}", name(), item.where)});
  }

  Solution solution(const TextItem& item) const override { return {references(item).front()}; }

  std::vector<MetricResult> score(const TextItems& items,
                                  const TextResponses& responses) const override {
    std::vector<MetricResult> results;
    for (const std::string& metric : text().metrics) {
      std::vector<double> outcomes;
      for (size_t i = 0; i < items.size(); ++i) {
        const std::string& answer = responses.generations.at(i).text;
        double best = 0;
        for (const std::string& reference : references(items[i]))
          best = std::max(best, score_answer(metric, answer, reference));
        outcomes.push_back(best);
      }
      results.push_back(mean_of(metric, std::move(outcomes)));
    }
    return results;
  }

 private:
  std::vector<std::string> references(const TextItem& item) const {
    std::vector<std::string> all;
    if (definition_.targets.empty()) {
      all = definition_.target.texts(item);
    } else {
      const Json& list = text_field(item, definition_.targets);
      if (!list.is_array())
        data_error("{}: '{}' is expected to be a list of answers, found {}", item.where,
                   definition_.targets, list.type_name());
      for (size_t i = 0; i < list.size(); ++i)
        all.push_back(printed_field(item, fmt::format("{}.{}", definition_.targets, i)));
    }
    if (all.empty() || std::find(all.begin(), all.end(), "") != all.end())
      data_error("task '{}': {}: a reference answer is empty or there is none", name(), item.where);
    return all;
  }

  double score_answer(const std::string& metric, const std::string& answer,
                      const std::string& reference) const {
    if (metric == "exact_match") return exact_match(answer, reference, definition_.exact);
    if (metric == "strict_match") return number_match(number_after_marks(answer), reference);
    if (metric == "flexible_match") return number_match(last_number(answer), reference);
    if (metric == "squad_em") return squad_exact(answer, reference);
    if (metric == "squad_f1") return squad_f1(answer, reference);
    if (metric == "rouge_l") return rouge_l(answer, reference);
    ASSAY_CHECK(metric == "chrf", "metric {}", metric);
    return chrf(answer, reference);
  }

  GenerationDefinition definition_;
};

std::shared_ptr<const Task> make_generation(const std::string& name, JsonReader reader) {
  auto shared = std::make_shared<TextDefinition>(reader, kGenerationMetrics,
                                                 std::vector<std::string>{"exact_match"});
  const JsonReader prompt = reader.at("prompt");
  if (shared->prompt.size() != 1) prompt.fail("expected one prompt");
  GenerationDefinition definition;
  definition.targets = reader.string("targets", "");
  if (definition.targets.empty()) definition.target = TextTemplate(reader.at("target"));
  if (const auto stop = reader.find("stop")) {
    definition.stop = stop->as_strings();
    for (const JsonReader& text : stop->elements())
      if (text.as_string().empty()) text.fail("an empty text occurs everywhere and stops nothing");
  }
  if (const auto max_tokens = reader.find("max_tokens")) {
    definition.max_tokens = max_tokens->as_integer();
    if (definition.max_tokens < 1) max_tokens->fail("expected at least 1");
  }
  definition.exact.ignore_case = reader.boolean("ignore_case", false);
  definition.exact.ignore_punctuation = reader.boolean("ignore_punctuation", false);
  definition.exact.strip = reader.boolean("strip", true);
  reader.finish();
  return std::make_shared<GenerationTask>(name, reader.json(), std::move(shared),
                                          std::move(definition));
}

ASSAY_TASK_KIND("generation", make_generation)

}  // namespace
}  // namespace assay
