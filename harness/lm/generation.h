/// Greedy generation in batches.
#pragma once

#include "harness/lm/scorer.h"

namespace assay {

/// One answer per request. `prompts`: the requests' tokens (TextEncoder::prompt). A beginning that
/// the prompts of a batch share is computed once. `progress` hears how many requests are done.
std::vector<Generation> generate_greedily(
    const LanguageModel& model, const std::vector<GenerationRequest>& requests,
    const std::vector<ScoredSequence>& prompts, const BatchLimits& limits,
    const std::function<void(int64_t requests, int64_t tokens)>& progress = nullptr);

/// `text` up to where the first of the stop strings begins, applied one after the other.
std::string cut_at_stops(std::string text, const std::vector<std::string>& stops);

}  // namespace assay
