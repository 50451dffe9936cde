/// Shared by mixtures of experts that have Qwen's names.
#pragma once

#include "harness/model/internal/decoder.h"

namespace assay {

/// Reads which blocks have experts (`decoder_sparse_step`, `mlp_only_layers`), how many, their
/// sizes, and with `shared` an expert that every token is sent to. The other blocks have the
/// feed-forward of Llama, whose `intermediate_size` is also the experts' where they have none of
/// their own.
FeedForwardMaker read_qwen_experts(ConfigFields& config, int64_t width, int64_t blocks,
                                   bool shared);

}  // namespace assay
