/// Runs a method over checkpoints: checks first, then streams tensor by tensor, or hands over the
/// whole model where the method asks for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/cost.h"
#include "harness/core/json.h"
#include "harness/method/method.h"

namespace assay {

struct MergeInputs {
  std::shared_ptr<const TensorSource> base;  ///< may be null
  std::vector<std::shared_ptr<const TensorSource>> experts;
  uint64_t seed = 0;
  at::Device device = at::kCPU;
  /// Absent: each tensor keeps the dtype it has in the base, or in the first expert without one.
  std::optional<at::ScalarType> dtype;
  /// The order in which tensors are merged, a permutation of their names; empty: by name. The
  /// result does not depend on it.
  std::vector<std::string> order;
};

struct MergeReport {
  Cost statistics;  ///< prepare()
  Cost merge;
  Json diagnostics = Json::object();
};

/// What keeps the method from being applied (a need not met), in words; absent when nothing does.
/// Reads no tensor.
std::optional<std::string> unmet_need(const MethodInfo& info, bool has_base, size_t num_experts);

/// Names, shapes and dtypes of all models. DataError naming model and tensor where one is missing,
/// extra or misshapen. Reads no tensor data.
void check_compatible(const MergeInputs& inputs);

/// Merges. Every merged tensor goes to `sink` on inputs.device in the output dtype; integer tensors
/// are copied from the base, or the first expert without one. SkipCell when a need is not met;
/// DataError from check_compatible() and, naming model and tensor, on NaN or infinity in an input
/// or the output.
MergeReport merge_models(Method& method, const MergeInputs& inputs,
                         const std::function<void(const std::string& name, at::Tensor)>& sink);

/// merge_models() into memory.
StateDict merge_to_memory(Method& method, const MergeInputs& inputs, MergeReport* report = nullptr);

}  // namespace assay
