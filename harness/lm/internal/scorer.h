/// Log-likelihoods of token sequences under one model.
#pragma once

#include <functional>

#include "harness/lm/internal/packing.h"
#include "harness/lm/internal/token_scores.h"

namespace assay {

/// Upper limits of one forward pass.
struct BatchLimits {
  int64_t tokens;                           ///< in all rows, including padding
  int64_t cached_tokens;                    ///< in the rows' copies of the prefix cache
  int64_t logit_bytes = int64_t{64} << 20;  ///< of logits computed at a time
  PackingLimits packing{};
  /// Defaults for the device.
  static BatchLimits of(at::Device device);
  /// How many positions' logits fit in logit_bytes, at least 1.
  int64_t head_positions(int64_t vocabulary) const;
};

/// Called with the number of tokens, of `total`, that were just computed.
using ScoringProgress = std::function<void(int64_t tokens, int64_t total)>;

/// One score per sequence. When the device runs out of memory, batches are halved. Packing changes
/// scores only by rounding, as attention sums in another order.
std::vector<SequenceScore> score_sequences(const LanguageModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress = nullptr);

/// Likewise for an encoder-decoder: its encoder reads each sequence's tokens before `first`, its
/// decoder scores the others. A context that several sequences share is encoded once.
std::vector<SequenceScore> score_sequences(const SequenceToSequenceModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress = nullptr);

/// Likewise for a routed ensemble: what precedes `first` decides about a sequence. Of a window of a
/// text, all members answer the tokens before its opening() alike, which then decide.
std::vector<SequenceScore> score_sequences(const RoutedModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress = nullptr);

/// The KV cache of `prefix`, one row, computed in chunks of `batch_tokens` tokens (chunked
/// prefill).
KvCache prefix_cache(const LanguageModel& model, const TokenIds& prefix, int64_t batch_tokens);

}  // namespace assay
