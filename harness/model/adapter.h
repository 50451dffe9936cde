/// LoRA adapters (Hu et al., arXiv:2106.09685) in the folders that PEFT writes.
#pragma once

#include <filesystem>
#include <string>

#include "harness/model/architecture.h"

namespace assay {

/// Adds the adapter of the folder (adapter_config.json, adapter_model.safetensors) to the weights:
/// W + alpha / r * B A, or alpha / sqrt(r) with rslora; ranks and alphas per layer as its patterns
/// say; whole tensors that it saved replace the model's. Worked out in float32, kept in the
/// weights' dtype. UserError on kinds of adapter that are not known, DataError on tensors that do
/// not fit.
void apply_adapter(StateDict& weights, const Architecture& architecture,
                   const std::filesystem::path& folder);

/// Of the adapter's tensors and of its configuration.
std::string adapter_hash(const std::filesystem::path& folder);

/// The content hash of weights to which an adapter was added, from theirs and the adapter's.
std::string adapted_hash(const std::string& weights_hash, const std::string& adapter_hash);

}  // namespace assay
