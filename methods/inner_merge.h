/// The merge of one whole tensor by another method, for methods that change what it is given or
/// what it gives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// The same job with other tensors, and with its draws. Nothing is cached: the engine's keys are
/// those of the models as they are.
TensorJob inner_job(const TensorJob& job, at::Tensor base, std::vector<at::Tensor> experts);
/// These whole tensors as parts.
TensorParts inner_parts(const TensorJob& job, const at::Tensor& base,
                        const std::vector<at::Tensor>& experts);
/// The tensors themselves.
TensorParts inner_parts(const TensorParts& tensor);

/// What a method that works by parts or by tensors makes of these whole tensors, in their shape.
/// Without a base where the method needs none.
at::Tensor merge_inner(const Method& method, const TensorJob& job, const at::Tensor& base,
                       const std::vector<at::Tensor>& experts);

/// Why the method in the parameter 'of' is none that merges task vectors, one tensor at a time;
/// absent when it is.
std::optional<std::string> inner_conflict(const Method& of);

}  // namespace assay
