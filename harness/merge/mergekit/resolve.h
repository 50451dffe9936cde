/// Translates one of mergekit's configurations for models with given tensors: the role of each
/// model, and for every tensor a method of Assay with its parameters. Reads names only.
#pragma once

#include "harness/core/json.h"
#include "harness/merge/mergekit/yaml.h"

namespace assay {

/// The models of a configuration by role.
struct MergekitModels {
  std::optional<MergekitModel> base;   ///< what task vectors are taken from
  std::vector<MergekitModel> experts;  ///< in the order in which the method takes them
  size_t like = 0;  ///< the expert whose config and tokenizer the result has, without a base
};

/// UserError, with file and line, when the method cannot use these models.
MergekitModels mergekit_models(const MergekitConfig& config);

/// Tensors that are made with the same method and parameters.
struct MergekitGroup {
  std::string method;  ///< "ties@mergekit"
  Json parameters;     ///< that differ from the preset
  std::vector<std::string> tensors;
};

struct MergekitPlan {
  std::vector<MergekitGroup> groups;  ///< in the order of their first tensors
  std::vector<std::string> notes;     ///< what the user should know, a line each
};

/// `tensors` are the names of those that are merged. `num_layers` is what the model's config says,
/// 0 when it says nothing. UserError, with file and line, on parameters that are missing for one of
/// the tensors or that Assay cannot follow.
MergekitPlan resolve_mergekit(const MergekitConfig& config, const MergekitModels& models,
                              const std::vector<std::string>& tensors, int64_t num_layers);

/// Where tensors lie in the depth of their model, by the first number in their names: from 0, the
/// first layer, to 1, the last. Tensors outside the layers (embeddings, final norm, head) lie at 0,
/// the layer of a model that has only one at 1.
class LayerDepths {
 public:
  /// With several stacks of layers (an encoder and a decoder) each counts its own, and `num_layers`
  /// does not matter; nor does it when it is 0.
  LayerDepths(const std::vector<std::string>& tensors, int64_t num_layers);
  double operator()(const std::string& tensor) const;

 private:
  std::map<std::string, int64_t> layers_;  // by what stands before the number
};

}  // namespace assay
