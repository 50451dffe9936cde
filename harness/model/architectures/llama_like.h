/// What the families around Llama share.
#pragma once

#include "harness/model/internal/decoder.h"

namespace assay {

/// Sizes, names, RMSNorm, gated feed-forward and separate query, key and value, all without the
/// families' own additions; positions are left to them.
DecoderConfig read_llama_like(ConfigFields& config);

/// What published checkpoints with Llama's names may hold beside its tensors.
CheckpointNames llama_checkpoint_names(bool tied_head);

/// `intermediate_size`, `mlp_bias` and the activation, which stands under `key`.
FeedForwardShape read_feed_forward(ConfigFields& config, int64_t width, const std::string& key,
                                   const std::string& fallback);
FeedForwardMaker gated_llama_feed_forward(const FeedForwardShape& shape);

/// The window of every layer from `layer_types`; where that is absent, `slides` says which layers
/// have it. UserError on other kinds of layer.
std::vector<int64_t> read_windows(ConfigFields& config, int64_t layers, int64_t window,
                                  const std::function<bool(int64_t layer)>& slides);
/// The same as Qwen has it: `use_sliding_window`, from layer `max_window_layers` on.
std::vector<int64_t> read_optional_windows(ConfigFields& config, int64_t layers);

}  // namespace assay
