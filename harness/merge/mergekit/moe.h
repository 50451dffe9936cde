/// mergekit-moe's configurations: mixtures of experts whose gates are made of prompts.
///
///   base_model: base
///   gate_mode: hidden
///   experts:
///     - {source_model: a, positive_prompts: [How much is 2 + 3?], negative_prompts: [Hello.]}
///     - {source_model: b, positive_prompts: [Write a function.], residual_scale: 0.9}
///   experts_per_token: 2
///   dtype: bfloat16
#pragma once

#include <filesystem>

#include "harness/merge/mergekit/yaml.h"
#include "harness/merge/request/merge_file.h"

namespace assay {

struct MergekitExpert {
  MergekitModel model;
  ExpertPrompts prompts;
  double noise_scale = 0, residual_scale = 1;
};

struct MergekitMoe {
  std::string where;         ///< the file, for messages
  MergekitModel base_model;  ///< gives all that is no expert, and the hidden states of the prompts
  std::string gate_mode = "hidden";
  int64_t experts_per_token = 2;
  std::vector<MergekitExpert> experts;
  std::optional<MergekitExpert> shared_expert;
  std::optional<std::string> architecture;  ///< as written: the beginning of a form's name
  std::optional<std::string> dtype;
};

/// Whether the text is a configuration of mergekit-moe rather than of mergekit. UserError on text
/// that is not YAML.
bool is_mergekit_moe(std::string_view text, const std::string& where);

/// Reads the text. UserError "WHERE:LINE: ..." on anything unknown, and on what mergekit-moe
/// refuses: fewer experts than a token is sent to, and with gates that are made of prompts an
/// expert without any, prompts that are the same for all experts, and experts that are all one
/// model.
MergekitMoe parse_mergekit_moe(std::string_view text, const std::string& where);

/// The parameters of Assay's method `moe`, for models of the type that config.json names. UserError
/// when mergekit-moe has no form for them.
Json mergekit_moe_parameters(const MergekitMoe& config, const std::string& model_type);

/// The request of a configuration whose text is `text`.
MergeRequest mergekit_moe_request(const MergekitMoe& config, const std::string& text,
                                  const std::filesystem::path& folder, const MergeChoices& choices);

/// The model, named relative to the folder. UserError "WHERE:LINE: ...".
ModelPath find_named(const std::string& where, const MergekitModel& model,
                     const std::filesystem::path& folder, const ModelPath* base);

}  // namespace assay
