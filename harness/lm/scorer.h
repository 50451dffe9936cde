/// Log-likelihoods of token sequences under one model.
#pragma once

#include <functional>

#include "harness/lm/packing.h"

namespace assay {

struct SequenceScore {
  double log_likelihood = 0;
  bool greedy = true;
};

/// How much one forward pass may hold.
struct BatchLimits {
  int64_t tokens;                           ///< of all rows together, padding included
  int64_t cached_tokens;                    ///< of the prefixes that the rows repeat
  int64_t logit_bytes = int64_t{64} << 20;  ///< of the vocabulary's scores at one time
  PackingLimits packing{};
  /// What suits the device.
  static BatchLimits of(at::Device device);
};

/// One score per sequence. Where the device runs out of memory batches are made smaller. Scores do
/// not depend on how sequences are packed, up to rounding: attention then adds up in another order.
/// `progress` hears how many tokens of `total` have gone through the model.
std::vector<SequenceScore> score_sequences(
    const LanguageModel& model, const std::vector<ScoredSequence>& sequences,
    const BatchLimits& limits,
    const std::function<void(int64_t tokens, int64_t total)>& progress = nullptr);

/// The cache after `prefix`, one row, worked out in pieces of `batch_tokens`.
KvCache prefix_cache(const LanguageModel& model, const TokenIds& prefix, int64_t batch_tokens);

}  // namespace assay
