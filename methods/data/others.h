/// The tensors that a method leaves to another one, its parameter 'others': what is no layer with
/// data of its own, such as norms, biases and embeddings.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// The default of the parameter, and its declaration.
inline constexpr const char* kOthersDefault = "average";
void others_parameter(MethodComponent& others, auto&& p) {
  p(others, {.name = "others",
             .help = "the method that merges all other tensors: norms, biases, embeddings"});
}

/// Why it cannot merge single tensors of the experts, in words; absent when it can.
std::optional<std::string> others_conflict(const MethodComponent& others);

/// Tells it of the tensors that are its own: statistics over a model are over these.
void prepare_others(MethodComponent& others, const ModelJob& job,
                    const std::function<bool(const std::string& tensor)>& is_own);

/// The whole tensor, merged by it.
at::Tensor merge_other(const MethodComponent& others, const TensorJob& job);

}  // namespace assay
