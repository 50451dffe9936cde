/// Log-likelihoods of token sequences under one model.
#pragma once

#include <functional>

#include "harness/lm/internal/packing.h"
#include "harness/lm/internal/token_scores.h"

namespace assay {

/// How much one forward pass may hold.
struct BatchLimits {
  int64_t tokens;                           ///< of all rows together, padding included
  int64_t cached_tokens;                    ///< of the prefixes that the rows repeat
  int64_t logit_bytes = int64_t{64} << 20;  ///< of the vocabulary's scores at one time
  PackingLimits packing{};
  /// What suits the device.
  static BatchLimits of(at::Device device);
  /// How many tokens' scores of a vocabulary fit, at least 1.
  int64_t places(int64_t vocabulary) const;
};

/// Hears how many tokens of `total` have gone through the model.
using ScoringProgress = std::function<void(int64_t tokens, int64_t total)>;

/// One score per sequence. Where the device runs out of memory batches are made smaller. Scores do
/// not depend on how sequences are packed, up to rounding: attention then adds up in another order.
std::vector<SequenceScore> score_sequences(const LanguageModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress = nullptr);

/// Likewise of an encoder-decoder, which reads each sequence's tokens before `first` and writes the
/// others. A context that several sequences share is read once.
std::vector<SequenceScore> score_sequences(const SequenceToSequenceModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress = nullptr);

/// The cache after `prefix`, one row, worked out in pieces of `batch_tokens`.
KvCache prefix_cache(const LanguageModel& model, const TokenIds& prefix, int64_t batch_tokens);

}  // namespace assay
