/// Mixtures of experts whose feed-forwards are stored as transformers 5 holds them in memory, all
/// of a block in two tensors, read under the names of published checkpoints, an expert at a time:
///
///   mlp.experts.gate_up_proj [experts, 2 * inner, width]: of each the gate's rows, then up's
///   mlp.experts.down_proj    [experts, width, inner]
#pragma once

#include <memory>
#include <string>

#include "harness/checkpoint/tensor_file.h"
#include "harness/core/json.h"

namespace assay {

/// The file itself where it holds no such tensor, or `config` is not that of a family that has
/// them: Mixtral, Qwen 2 and 3, OLMoE. DataError naming `where` and the tensor when one has another
/// shape.
std::shared_ptr<const TensorFile> separate_experts(std::shared_ptr<const TensorFile> file,
                                                   const Json& config, const std::string& where);

}  // namespace assay
