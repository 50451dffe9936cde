// Pseudo-perplexity of texts under an encoder with a head for masked tokens (Salazar et al.,
// arXiv:1910.14659): every token is masked in turn.
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/task/encoder_task.h"
#include "tasks/perplexity_metric.h"

namespace assay {
namespace {

const std::vector<std::string> kPseudoPerplexityMetrics{"pseudo_perplexity"};

class PseudoPerplexity : public EncoderTask {
 public:
  PseudoPerplexity(const std::string& name, const Json& json,
                   std::shared_ptr<const EncoderDefinition> shared)
      : EncoderTask(name, json, std::move(shared), "pseudo_perplexity 1") {}

 protected:
  std::string gold(const TextItem&) const override { return ""; }

  std::vector<MetricResult> score(const EncoderPredictor& encoder, const TextItems&,
                                  const std::vector<EncoderText>& texts) const override {
    std::vector<double> log_likelihoods, tokens;
    const auto scores = encoder.masked_log_likelihoods(texts);
    for (size_t i = 0; i < texts.size(); ++i) {
      log_likelihoods.push_back(std::accumulate(scores[i].begin(), scores[i].end(), 0.0));
      if (!std::isfinite(log_likelihoods.back()))
        data_error("{}: the log-likelihood is {}", texts[i].where, log_likelihoods.back());
      tokens.push_back(static_cast<double>(scores[i].size()));
    }
    return {perplexity_of(kPseudoPerplexityMetrics.front(), log_likelihoods, tokens)};
  }
};

std::shared_ptr<const Task> make_pseudo_perplexity(const std::string& name, JsonReader reader) {
  auto shared = std::make_shared<EncoderDefinition>(reader, kPseudoPerplexityMetrics,
                                                    kPseudoPerplexityMetrics);
  if (shared->second) reader.at("text_pair").fail("texts are scored one by one");
  reader.finish();
  return std::make_shared<PseudoPerplexity>(name, reader.json(), std::move(shared));
}

ASSAY_TASK_KIND("pseudo_perplexity", make_pseudo_perplexity)

}  // namespace
}  // namespace assay
