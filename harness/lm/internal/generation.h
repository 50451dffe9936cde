/// Greedy decoding of requests in batches.
#pragma once

#include "harness/lm/internal/scorer.h"

namespace assay {

/// Called with the number of requests that are done and of tokens in their answers.
using GenerationProgress = std::function<void(int64_t requests, int64_t tokens)>;

/// One answer per request. `prompts`: the requests' tokens (TextEncoder::prompt). A prefix that
/// the prompts of a batch share is computed once (prefix cache). DataError naming a request when
/// the model's logits are not finite.
std::vector<Generation> generate_greedily(const LanguageModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress = nullptr);
/// Likewise for an encoder-decoder, whose encoder reads the prompts.
std::vector<Generation> generate_greedily(const SequenceToSequenceModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress = nullptr);

/// Likewise for a routed ensemble, whose prompts decide, each about its continuation.
std::vector<Generation> generate_greedily(const RoutedModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress = nullptr);

/// `text` truncated at each of the stop strings in turn.
std::string cut_at_stops(std::string text, const std::vector<std::string>& stops);

}  // namespace assay
