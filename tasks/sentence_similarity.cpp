// Correlation of the cosine similarity of two texts' embeddings with human judgements.
#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/core/error.h"
#include "harness/task/encoder_task.h"
#include "tasks/agreement.h"

namespace assay {
namespace {

const std::vector<std::string> kSentenceSimilarityMetrics{"spearman", "pearson"};

double range(const std::vector<double>& values) {
  const auto [lowest, highest] = std::minmax_element(values.begin(), values.end());
  return *highest - *lowest;
}

// An upper bound of rounding differences between cosines of equal embeddings, computed in float32
// in different batches.
constexpr double kTolerance = 1e-6;

class SentenceSimilarity : public EncoderTask {
 public:
  SentenceSimilarity(const std::string& name, const Json& json,
                     std::shared_ptr<const EncoderDefinition> shared, std::string gold)
      : EncoderTask(name, json, std::move(shared), "sentence_similarity 2"),
        gold_(std::move(gold)) {}

 protected:
  std::string gold(const TextItem& item) const override { return field_text(item, gold_); }

  std::vector<MetricResult> score(const EncoderPredictor& encoder, const TextItems& items,
                                  const std::vector<EncoderText>& texts) const override {
    std::vector<double> gold;
    for (const TextItem& item : items) gold.push_back(gold_score(item));
    if (range(gold) == 0)
      data_error("task '{}': all gold scores are {}, so the correlation is undefined", name(),
                 gold.front());
    const at::Tensor cosines = encoder.similarities(texts);
    const double* begin = cosines.const_data_ptr<double>();
    const std::vector<double> found(begin, begin + cosines.numel());
    for (size_t i = 0; i < found.size(); ++i)
      if (!std::isfinite(found[i]))
        data_error("{}: the model's similarity is {}", texts[i].where, found[i]);
    // An error instead of 0: 0 would exceed the score of a model with negative correlation.
    if (range(found) <= kTolerance)
      data_error(
          "task '{}': the model gives all pairs the similarity "
          "{:.6f}, so the correlation is undefined",
          name(), found.front());
    return {spearman("spearman", found, gold), pearson("pearson", found, gold)};
  }

 private:
  double gold_score(const TextItem& item) const {
    const std::string text = field_text(item, gold_);
    double value = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value))
      data_error("{}: the score '{}' is not a number", item.where, text);
    return value;
  }

  std::string gold_;
};

std::shared_ptr<const Task> make_sentence_similarity(const std::string& name, JsonReader reader) {
  auto shared = std::make_shared<EncoderDefinition>(reader, kSentenceSimilarityMetrics,
                                                    kSentenceSimilarityMetrics);
  reader.at("text_pair");
  std::string gold = reader.string("score", "score");
  reader.finish();
  return std::make_shared<SentenceSimilarity>(name, reader.json(), std::move(shared),
                                              std::move(gold));
}

ASSAY_TASK_KIND("sentence_similarity", make_sentence_similarity)

}  // namespace
}  // namespace assay
