/// The form of a mixture of Llama's or Mistral's feed-forwards: that of Mixtral.
#pragma once

#include <optional>
#include <string>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// A matrix of a block's feed-forward, by its name in Llama's and Mistral's checkpoints.
struct FeedForwardPart {
  std::string block;  ///< what precedes "mlp.": "model.layers.0."
  std::string part;   ///< "w1" (gate), "w2" (down) or "w3" (up)
};
/// Absent for every other tensor.
std::optional<FeedForwardPart> feed_forward_part(const std::string& tensor);

/// The names in the mixture.
std::string expert_part_name(const FeedForwardPart& part, size_t expert);
std::string gate_name(const std::string& block);
bool is_expert_part(const std::string& name);
bool is_gate(const std::string& name);

/// The embedding: its rows are as wide as a gate's. SkipCell when the model has none of that name.
const TensorInfo& embedding_of(const TensorSource& model);

/// Mixtral's config.json of a mixture of models with this one. Every field that a mixture computes
/// with is written, as the defaults of the families differ. SkipCell when Mixtral cannot compute
/// what the models do.
Json mixtral_config(const Json& dense, size_t experts, int64_t top_k);

}  // namespace assay
