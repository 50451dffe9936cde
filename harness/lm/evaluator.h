/// Evaluates text requests with one language model.
#pragma once

#include <span>

#include "harness/lm/internal/response_cache.h"
#include "harness/lm/internal/scorer.h"
#include "harness/lm/requests.h"

namespace assay {

/// Counters of an evaluator's work; stored with a run.
struct EvaluatorUsage {
  int64_t requests = 0;       ///< distinct requests that were computed
  int64_t cached = 0;         ///< distinct requests answered from the response cache
  int64_t scored_tokens = 0;  ///< tokens whose log-probability was requested
  int64_t generated_tokens = 0;
  int64_t truncated = 0;       ///< requests too long for the model, truncated at the beginning
  int64_t dropped_tokens = 0;  ///< tokens removed by truncation
};

class LanguageEvaluator {
 public:
  /// Answers are cached on disk in responses_folder() when that is set and the model's content hash
  /// is known.
  explicit LanguageEvaluator(
      const AnyLanguageModel& model,
      const std::shared_ptr<TokenCache>& tokens = std::make_shared<TokenCache>());
  LanguageEvaluator(AnyLanguageModel model, BatchLimits limits,
                    const std::shared_ptr<TokenCache>& tokens = std::make_shared<TokenCache>());

  /// All requests are scheduled together. Answers are memoized: equal requests are computed once.
  /// DataError naming a request's `where`: see TextEncoder; also when a score is not finite.
  /// UserError for rolling requests to an encoder-decoder.
  std::vector<TextResponses> answer(std::span<const TextRequests> requests);
  TextResponses answer(const TextRequests& requests);

  const AnyLanguageModel& model() const { return model_; }
  const EvaluatorUsage& usage() const { return usage_; }
  /// For the diagnostics of a run: usage(), and the truncation of long inputs.
  Json report() const;

 private:
  void score(std::span<const TextRequests> requests);
  void generate(std::span<const TextRequests> requests);
  /// Counts computed requests, once per member of an ensemble.
  void count_examples(size_t requests) const;

  AnyLanguageModel model_;
  BatchLimits limits_;
  TextEncoder encoder_;
  ResponseCache cache_;
  EvaluatorUsage usage_;
};

}  // namespace assay
