/// Answers requests about text with one language model.
#pragma once

#include <span>

#include "harness/lm/internal/response_cache.h"
#include "harness/lm/internal/scorer.h"
#include "harness/lm/requests.h"

namespace assay {

/// What the answers given so far took; kept with a run.
struct LanguageUse {
  int64_t requests = 0;       ///< different ones that were worked out
  int64_t known = 0;          ///< different ones whose answers were kept from before
  int64_t scored_tokens = 0;  ///< tokens whose log-probability was asked for
  int64_t generated_tokens = 0;
  int64_t shortened = 0;       ///< requests too long for the model, cut at their beginning
  int64_t dropped_tokens = 0;  ///< in those
};

class LanguageEvaluator {
 public:
  /// Answers are kept under responses_folder() when that is set and the model's content hash is
  /// known.
  explicit LanguageEvaluator(const AnyLanguageModel& model,
                             std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());
  LanguageEvaluator(AnyLanguageModel model, BatchLimits limits,
                    std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());

  /// All of it is planned together; a request asked before, or twice, is worked out once. DataError
  /// naming a request's `where`: see TextEncoder; also when a score is not finite. UserError for
  /// rolling requests to an encoder-decoder.
  std::vector<TextResponses> answer(std::span<const TextRequests> requests);
  TextResponses answer(const TextRequests& requests);

  const AnyLanguageModel& model() const { return model_; }
  const LanguageUse& use() const { return use_; }
  /// For the diagnostics of a run: use(), and how long inputs are treated.
  Json report() const;

 private:
  void score(std::span<const TextRequests> requests);
  void generate(std::span<const TextRequests> requests);
  /// Counts requests that went through the model, once per member of an ensemble.
  void count_examples(size_t requests) const;

  AnyLanguageModel model_;
  BatchLimits limits_;
  TextEncoder encoder_;
  ResponseCache cache_;
  LanguageUse use_;
};

}  // namespace assay
