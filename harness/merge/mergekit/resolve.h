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

/// Of the whole configuration, or of one of its slices. UserError, with file and line, when the
/// method cannot use these models.
MergekitModels mergekit_models(const MergekitConfig& config, const MergekitSlice* slice = nullptr);

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

/// What the parameters of an output tensor depend on.
struct MergekitScope {
  std::string tensor;               ///< its name: filters of settings of the whole merge look at it
  std::vector<std::string> inputs;  ///< its name in each expert: filters of models look at these
  double depth = 0;                 ///< from 0, the first layer, to 1, the last
  std::vector<const MergekitSettings*> settings;  ///< of the whole merge, innermost first
};

/// The parameters of the method that Assay has for the configuration's. UserError as
/// resolve_mergekit().
Json mergekit_parameters(const MergekitConfig& config, const std::vector<MergekitModel>& experts,
                         const MergekitScope& scope);

/// Puts tensors with equal parameters into groups.
class MergekitGroups {
 public:
  explicit MergekitGroups(std::string method) : method_(std::move(method)) {}
  void add(const std::string& tensor, Json parameters);
  std::vector<MergekitGroup> take() { return std::move(groups_); }

 private:
  std::string method_;
  std::vector<MergekitGroup> groups_;
  std::map<std::string, size_t> group_of_;  // by parameters
};

/// Notes settings that change nothing, among them filters that are part of no name.
void note_settings(const MergekitConfig& config, const MergekitSettings& settings,
                   const std::vector<std::string>& tensors, std::vector<std::string>& notes);

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
