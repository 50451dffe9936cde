// Log-likelihood of a target after a prompt, and whether it is the greedy continuation.
#include "harness/core/error.h"
#include "harness/task/text_task.h"
#include "tasks/perplexity_metric.h"

namespace assay {
namespace {

// acc: the target is the model's greedy continuation. perplexity: exp of the mean negative
// log-likelihood of a target, as in lm-evaluation-harness; token_perplexity: of a token.
const std::vector<std::string> kLogLikelihoodMetrics{"acc", "perplexity", "token_perplexity"};

class TargetLikelihood : public TextTask {
 public:
  TargetLikelihood(const std::string& name, const Json& json,
                   std::shared_ptr<const TextDefinition> shared, TextTemplate target)
      : TextTask(name, json, std::move(shared), "log_likelihood 2"), target_(std::move(target)) {}

 protected:
  void add_requests(const TextItem& item, const Context& context,
                    TextRequests& requests) const override {
    const std::string where = fmt::format("task '{}': {}", name(), item.where);
    const std::string target = target_.fill(item);
    if (target.empty()) data_error("{}: the target is empty", where);
    requests.likelihoods.push_back({context(0), text().delimiter + target, where});
  }

  Solution solution(const TextItem& item) const override { return {target_.fill(item)}; }

  std::vector<MetricResult> score(const TextItems& items,
                                  const TextResponses& responses) const override {
    std::vector<double> greedy;
    std::vector<double> log_likelihoods, tokens;
    for (size_t i = 0; i < items.size(); ++i) {
      const Likelihood& answer = responses.likelihoods.at(i);
      greedy.push_back(answer.greedy ? 1 : 0);
      log_likelihoods.push_back(answer.log_likelihood);
      tokens.push_back(static_cast<double>(answer.tokens));
    }
    std::vector<MetricResult> results;
    for (const std::string& metric : text().metrics) {
      if (metric == "acc") results.push_back(mean_of(metric, greedy));
      if (metric == "perplexity")
        results.push_back(
            perplexity_of(metric, log_likelihoods, std::vector<double>(items.size(), 1)));
      if (metric == "token_perplexity")
        results.push_back(perplexity_of(metric, log_likelihoods, tokens));
    }
    return results;
  }

 private:
  TextTemplate target_;
};

std::shared_ptr<const Task> make_log_likelihood(const std::string& name, JsonReader reader) {
  auto shared = std::make_shared<TextDefinition>(reader, kLogLikelihoodMetrics,
                                                 std::vector<std::string>{"acc", "perplexity"});
  const JsonReader prompt = reader.at("prompt");
  if (shared->prompt.size() != 1) prompt.fail("expected one prompt");
  TextTemplate target(reader.at("target"));
  reader.finish();
  return std::make_shared<TargetLikelihood>(name, reader.json(), std::move(shared),
                                            std::move(target));
}

ASSAY_TASK_KIND("log_likelihood", make_log_likelihood)

}  // namespace
}  // namespace assay
