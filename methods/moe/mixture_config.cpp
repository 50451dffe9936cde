// config.json of mixtures, from that of dense models.
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "methods/moe/mixture_form.h"

namespace assay {
namespace {

Json value_or(const Json& config, const char* key, const Json& fallback) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? fallback : *found;
}

/// What a config that lacks these means in transformers, by the family of the dense models.
struct FamilyDefaults {
  Json kv_heads;  ///< null: as many as heads
  int64_t inner, positions;
};
const FamilyDefaults& defaults_of(const std::string& type) {
  static const std::map<std::string, FamilyDefaults> all{{"llama", {nullptr, 11008, 2048}},
                                                         {"mistral", {8, 14336, 4096 * 32}},
                                                         {"qwen2", {32, 22016, 32768}},
                                                         {"qwen3", {32, 22016, 32768}}};
  return all.at(type);
}

/// The sliding window of a dense model's attention; null for none.
Json window_of(const Json& dense, const std::string& type) {
  if (type == "llama") return nullptr;
  // Mistral has a window of 4096 tokens unless it says null, Qwen where it says so.
  if (type != "mistral" && value_or(dense, "use_sliding_window", false) != Json(true))
    return nullptr;
  return dense.value("sliding_window", Json(4096));
}

void refuse_what_differs(const MixtureForm& form, const Json& dense, const std::string& type) {
  const bool biased = form.type == "qwen3_moe" || form.type == "deepseek";
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    // Qwen 2 has biases on query, key and value, and does not look at this field.
    if (std::string_view(key) == "attention_bias" && (biased || type == "qwen2")) continue;
    if (value_or(dense, key, false) != Json(false))
      throw SkipCell(
          fmt::format("a mixture of the form {} has no such biases: '{}' is set", form.type, key));
  }
  const Json window = window_of(dense, type);
  if (form.type != "mixtral" && !window.is_null())
    throw SkipCell(
        fmt::format("a mixture of the form {} cannot attend to a window, and the models' is {} "
                    "('sliding_window')",
                    form.type, window.dump()));
}

/// The dense config with all that a mixture computes with.
Json explicit_config(const Json& dense, const std::string& type) {
  Json config = dense;
  const FamilyDefaults& defaults = defaults_of(type);
  const Json heads = value_or(dense, "num_attention_heads", 32);
  const Json kv_heads = dense.contains("num_key_value_heads") || defaults.kv_heads.is_null()
                            ? heads
                            : defaults.kv_heads;
  config["num_key_value_heads"] = value_or(dense, "num_key_value_heads", kv_heads);
  config["intermediate_size"] = value_or(dense, "intermediate_size", defaults.inner);
  config["rms_norm_eps"] = value_or(dense, "rms_norm_eps", 1e-6);
  config["max_position_embeddings"] =
      value_or(dense, "max_position_embeddings", defaults.positions);
  if (type == "qwen3") config["head_dim"] = value_or(dense, "head_dim", 128);
  if (!dense.contains("rope_parameters"))
    config["rope_theta"] = value_or(dense, "rope_theta", 10000.0);
  for (const char* key : {"mlp_bias", "pretraining_tp", "auto_map"}) config.erase(key);
  return config;
}

void set_mixtral(Json& config, size_t experts) {
  config["architectures"] = {"MixtralForCausalLM"};
  config["num_local_experts"] = experts;
  config["output_router_logits"] = false;
}

/// Qwen's two forms.
void set_qwen(Json& config, size_t experts, const char* architecture) {
  config["architectures"] = {architecture};
  config["num_experts"] = experts;
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = Json::array();
  config["norm_topk_prob"] = true;
  config["moe_intermediate_size"] = config["intermediate_size"];
  config["use_sliding_window"] = false;
  config["output_router_logits"] = false;
}

void set_deepseek(Json& config, size_t experts, bool shared) {
  config["architectures"] = {"DeepseekForCausalLM"};
  config["n_routed_experts"] = experts;
  config["n_shared_experts"] = shared ? Json(1) : Json();
  config["first_k_dense_replace"] = 0;
  config["moe_layer_freq"] = 1;
  config["scoring_func"] = "softmax";
  config["norm_topk_prob"] = true;
  config["moe_intermediate_size"] = config["intermediate_size"];
  config.erase("sliding_window");  // the form has none
  // The classes are no part of transformers: they come with the first model of this form.
  const std::string remote = "deepseek-ai/deepseek-moe-16b-base--";
  config["auto_map"] = {{"AutoConfig", remote + "configuration_deepseek.DeepseekConfig"},
                        {"AutoModel", remote + "modeling_deepseek.DeepseekModel"},
                        {"AutoModelForCausalLM", remote + "modeling_deepseek.DeepseekForCausalLM"}};
}

}  // namespace

Json mixture_config(const MixtureForm& form, const Json& dense, size_t experts, int64_t top_k,
                    bool shared) {
  const std::string type = dense.is_object() ? dense.value("model_type", "") : "";
  if (std::find(form.made_of.begin(), form.made_of.end(), type) == form.made_of.end())
    throw SkipCell(
        fmt::format("a mixture of the form {} is made of models of the types {}, found '{}'",
                    form.type, fmt::join(form.made_of, ", "), type));
  refuse_what_differs(form, dense, type);
  Json config = explicit_config(dense, type);
  config["sliding_window"] = window_of(dense, type);
  config["model_type"] = form.type;
  config["num_experts_per_tok"] = top_k;
  if (form.type == "mixtral") set_mixtral(config, experts);
  if (form.type == "qwen2_moe") set_qwen(config, experts, "Qwen2MoeForCausalLM");
  if (form.type == "qwen3_moe") set_qwen(config, experts, "Qwen3MoeForCausalLM");
  if (form.type == "deepseek") set_deepseek(config, experts, shared);
  if (form.type == "qwen2_moe")
    config["shared_expert_intermediate_size"] = config["intermediate_size"];
  if (form.type == "mixtral" || form.type == "qwen2_moe") config.erase("attention_bias");
  return config;
}

}  // namespace assay
