#include "methods/moe/mixtral_form.h"

#include <array>
#include <utility>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kParts = {
    {{"gate_proj", "w1"}, {"down_proj", "w2"}, {"up_proj", "w3"}}};
constexpr std::string_view kDense = "mlp.", kSparse = "block_sparse_moe.", kWeight = ".weight";

Json value_or(const Json& config, const char* key, const Json& fallback) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? fallback : *found;
}

}  // namespace

std::optional<FeedForwardPart> feed_forward_part(const std::string& tensor) {
  for (const auto& [dense, sparse] : kParts) {
    const std::string end = fmt::format("{}{}{}", kDense, dense, kWeight);
    if (tensor.ends_with("." + end))
      return FeedForwardPart{tensor.substr(0, tensor.size() - end.size()), std::string(sparse)};
  }
  return std::nullopt;
}

std::string expert_part_name(const FeedForwardPart& part, size_t expert) {
  return fmt::format("{}{}experts.{}.{}{}", part.block, kSparse, expert, part.part, kWeight);
}

std::string gate_name(const std::string& block) {
  return fmt::format("{}{}gate{}", block, kSparse, kWeight);
}

bool is_expert_part(const std::string& name) {
  return name.find(fmt::format(".{}experts.", kSparse)) != std::string::npos;
}

bool is_gate(const std::string& name) {
  return name.ends_with(fmt::format(".{}gate{}", kSparse, kWeight));
}

const TensorInfo& embedding_of(const TensorSource& model) {
  for (const char* name : {"model.embed_tokens.weight", "embed_tokens.weight"})
    if (const TensorInfo* found = model.find(name)) return *found;
  throw SkipCell(fmt::format(
      "moe makes mixtures of models with Llama's names, and {} has no 'model.embed_tokens.weight'",
      model.label()));
}

Json mixtral_config(const Json& dense, size_t experts, int64_t top_k) {
  const std::string type = dense.is_object() ? dense.value("model_type", "") : "";
  if (type != "llama" && type != "mistral")
    throw SkipCell(fmt::format(
        "moe makes mixtures of models of the types llama and mistral, found '{}'", type));
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (value_or(dense, key, false) != Json(false))
      throw SkipCell(
          fmt::format("a mixture has Mixtral's form, which has no biases: '{}' is set", key));

  Json config = dense;
  const bool llama = type == "llama";
  // What a config that lacks these means, which is not what Mixtral's would.
  config["num_key_value_heads"] = value_or(
      dense, "num_key_value_heads", llama ? value_or(dense, "num_attention_heads", 32) : Json(8));
  config["intermediate_size"] = value_or(dense, "intermediate_size", llama ? 11008 : 14336);
  config["rms_norm_eps"] = value_or(dense, "rms_norm_eps", 1e-6);
  config["max_position_embeddings"] =
      value_or(dense, "max_position_embeddings", llama ? 2048 : 4096 * 32);
  if (!dense.contains("rope_parameters"))
    config["rope_theta"] = value_or(dense, "rope_theta", 10000.0);
  // Llama has no window, and Mistral one of 4096 tokens unless it says null.
  if (llama)
    config["sliding_window"] = nullptr;
  else if (!dense.contains("sliding_window"))
    config["sliding_window"] = 4096;
  for (const char* key : {"attention_bias", "mlp_bias", "pretraining_tp", "auto_map"})
    config.erase(key);
  config["model_type"] = "mixtral";
  config["architectures"] = {"MixtralForCausalLM"};
  config["num_local_experts"] = experts;
  config["num_experts_per_tok"] = top_k;
  config["output_router_logits"] = false;
  return config;
}

}  // namespace assay
