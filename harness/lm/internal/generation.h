/// Greedy generation in batches.
#pragma once

#include "harness/lm/internal/scorer.h"

namespace assay {

/// Hears how many requests are done, and of how many tokens their answers are.
using GenerationProgress = std::function<void(int64_t requests, int64_t tokens)>;

/// One answer per request. `prompts`: the requests' tokens (TextEncoder::prompt). A beginning that
/// the prompts of a batch share is read once. DataError naming a request when the model's logits
/// are not finite.
std::vector<Generation> generate_greedily(const LanguageModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress = nullptr);
/// Likewise of an encoder-decoder, which reads the prompts.
std::vector<Generation> generate_greedily(const SequenceToSequenceModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress = nullptr);

/// `text` up to where the first of the stop strings begins, applied one after the other.
std::string cut_at_stops(std::string text, const std::vector<std::string>& stops);

}  // namespace assay
