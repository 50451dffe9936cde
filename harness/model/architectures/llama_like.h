/// Shared by families derived from Llama.
#pragma once

#include "harness/model/internal/decoder.h"

namespace assay {

/// Sizes, names, RMSNorm, gated feed-forward and separate query, key and value. A family adds its
/// own differences and its positions.
DecoderConfig read_llama_like(ConfigFields& config);

/// Variants in published checkpoints that use Llama's names.
CheckpointNames llama_checkpoint_names(bool tied_head);

/// Reads `intermediate_size`, `mlp_bias` and the activation, whose field is `key`.
FeedForwardShape read_feed_forward(ConfigFields& config, int64_t width, const std::string& key,
                                   const std::string& fallback);
FeedForwardMaker gated_llama_feed_forward(const FeedForwardShape& shape);

/// The sliding window of every layer from `layer_types`; where that is absent, `slides` tells which
/// layers have one. UserError on other kinds of layer.
std::vector<int64_t> read_windows(ConfigFields& config, int64_t layers, int64_t window,
                                  const std::function<bool(int64_t layer)>& slides);
/// The same for Qwen: `use_sliding_window`, from layer `max_window_layers` on.
std::vector<int64_t> read_optional_windows(ConfigFields& config, int64_t layers);

}  // namespace assay
