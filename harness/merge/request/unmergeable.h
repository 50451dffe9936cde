/// Inputs whose numbers are not the weights of a model.
#pragma once

#include <vector>

#include "harness/merge/request/reconcile.h"

namespace assay {

/// DataError that says, for every model, why it cannot be merged and what to do: quantised weights
/// (bitsandbytes, GPTQ, AWQ, compressed-tensors, float8, ...), or the factors of an adapter alone.
/// Reads no tensor. Returns notes: where config.json has a quantization_config and no tensor is
/// quantised.
std::vector<std::string> refuse_unmergeable(const std::vector<MergeModel>& models);

}  // namespace assay
