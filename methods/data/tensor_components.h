/// Components that merge single tensors for a method of whole tensors: those that it leaves to
/// another one, its parameter 'others', which are no layers with data of their own.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// The default of the parameter, and its declaration.
inline constexpr const char* kOthersDefault = "average";
void others_parameter(MethodComponent& others, auto&& p) {
  p(others, {.name = "others",
             .help = "the method that merges all other tensors: norms, biases, embeddings"});
}

/// Why a parameter cannot merge single tensors of the experts, in words; absent when it can.
std::optional<std::string> component_conflict(std::string_view parameter,
                                              const MethodComponent& component);

/// Tells a component of the tensors that are its own: statistics over a model are over these.
void prepare_component(MethodComponent& component, const ModelJob& job,
                       const std::function<bool(const std::string& tensor)>& is_own);

/// The whole tensor, merged by a component.
at::Tensor merge_by(const MethodComponent& component, const TensorJob& job);

}  // namespace assay
