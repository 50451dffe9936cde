/// The forms of mixtures that are made of dense models: the names and the config.json of published
/// families. The feed-forwards that become experts have Llama's names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// A family whose form a mixture has.
struct MixtureForm {
  std::string_view type;            ///< "model_type" of config.json
  std::string_view layer;           ///< what precedes its names in a block: "mlp."
  std::string_view gate, up, down;  ///< an expert's matrices
  std::string_view shared;          ///< the expert of all tokens: "shared_expert."; or empty
  bool needs_shared = false;        ///< and has a gate of its own
  std::vector<std::string_view> made_of{};  ///< the types of the dense models
};

/// UserError on a type that is no form's.
const MixtureForm& mixture_form(std::string_view type);
/// The form for models with this config.json, with or without an expert of all tokens: Mixtral's,
/// DeepSeek's, or that of their own family. SkipCell when there is none.
const MixtureForm& usual_form(const Json& dense, bool shared);

/// A matrix of a dense block's feed-forward.
struct FeedForwardPart {
  enum class Kind { kGate, kUp, kDown };
  std::string block;  ///< what precedes "mlp.": "model.layers.0."
  Kind kind;
};
/// Absent for every other tensor.
std::optional<FeedForwardPart> feed_forward_part(const std::string& tensor);

/// What a tensor of a mixture is.
struct MixtureTensor {
  enum class Kind { kRest, kGate, kSlots, kSharedGate, kExpert, kShared };
  Kind kind = Kind::kRest;
  size_t expert = 0;  ///< of kExpert
  bool down = false;  ///< whether its products are added to the residual stream
};
/// By its name, whatever the form.
MixtureTensor mixture_tensor(const std::string& name);

/// The names in the mixture; `block` as in FeedForwardPart.
std::string expert_name(const MixtureForm& form, const FeedForwardPart& part, size_t expert);
std::string shared_name(const MixtureForm& form, const FeedForwardPart& part);
std::string gate_name(const MixtureForm& form, const std::string& block);
std::string shared_gate_name(const MixtureForm& form, const std::string& block);
/// The map from the rows of this router's weight to the experts that are stored, where several rows
/// are one expert's (docs/merging-experts.md).
std::string slots_name(const std::string& router);

/// config.json of a mixture of models with this one. Every field that a mixture computes with is
/// written, as the defaults of the families differ. `shared`: whether there is an expert of all
/// tokens. SkipCell when the form cannot compute what the models do.
Json mixture_config(const MixtureForm& form, const Json& dense, size_t experts, int64_t top_k,
                    bool shared);

}  // namespace assay
