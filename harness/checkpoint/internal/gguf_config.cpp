#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "harness/checkpoint/internal/gguf_families.h"
#include "harness/core/error.h"

namespace assay {
namespace {

class ConfigMaker {
 public:
  ConfigMaker(const GgufHeader& header, std::string_view bytes, const std::string& file)
      : header_(header),
        bytes_(bytes),
        metadata_(header, file),
        family_(gguf_family(metadata_)),
        model_type_(family_.model_type) {}

  Json run() {
    config_["model_type"] = model_type_;
    config_["architectures"] = {family_.hugging_face_class};
    const GgufTensor* embedding = header_.find("token_embd.weight");
    if (embedding)
      config_["vocab_size"] = embedding->shape.front();
    else if (const Json* tokens = metadata_.find("tokenizer.ggml.tokens"))
      config_["vocab_size"] = tokens->size();
    config_["tie_word_embeddings"] = header_.find("output.weight") == nullptr;
    for (const char* token : {"bos", "eos"})
      if (const auto id =
              metadata_.optional_integer(fmt::format("tokenizer.ggml.{}_token_id", token)))
        config_[fmt::format("{}_token_id", token)] = *id;
    if (model_type_ == "gpt2")
      gpt2();
    else
      llama_like();
    return std::move(config_);
  }

 private:
  int64_t integer(const char* key) const { return metadata_.integer(metadata_.own(key)); }
  std::optional<int64_t> optional_integer(const char* key) const {
    return metadata_.optional_integer(metadata_.own(key));
  }
  double number(const char* key) const { return metadata_.number(metadata_.own(key)); }
  std::optional<double> optional_number(const char* key) const {
    return metadata_.optional_number(metadata_.own(key));
  }

  void gpt2() {
    config_["n_positions"] = integer("context_length");
    config_["n_embd"] = integer("embedding_length");
    config_["n_layer"] = integer("block_count");
    config_["n_head"] = integer("attention.head_count");
    config_["n_inner"] = integer("feed_forward_length");
    config_["layer_norm_epsilon"] = number("attention.layer_norm_epsilon");
    // Converters repeat the embedding as the head.
    config_["tie_word_embeddings"] = true;
  }

  void llama_like() {
    const int64_t heads = integer("attention.head_count"), width = integer("embedding_length");
    if (heads < 1) data_error("{}: attention.head_count is {}", metadata_.file(), heads);
    config_["hidden_size"] = width;
    config_["num_hidden_layers"] = integer("block_count");
    config_["num_attention_heads"] = heads;
    config_["num_key_value_heads"] = optional_integer("attention.head_count_kv").value_or(heads);
    config_["max_position_embeddings"] = integer("context_length");
    config_["rms_norm_eps"] = number("attention.layer_norm_rms_epsilon");
    config_["rope_theta"] = optional_number("rope.freq_base").value_or(10000);
    if (const auto head_size = optional_integer("attention.key_length"))
      config_["head_dim"] = *head_size;
    // A model of experts alone need not state it.
    if (const auto inner = optional_integer("feed_forward_length"))
      config_["intermediate_size"] = *inner;
    rotary_scaling();
    if (model_type_ == "gemma2") gemma2(heads, width);
    if (model_type_ == "phi3") phi3(heads, width);
    if (model_type_ == "llama")
      config_["attention_bias"] = header_.find("blk.0.attn_q.bias") != nullptr;
    if (family_is_mixture()) mixture();
  }

  bool family_is_mixture() const {
    return std::any_of(family_.in_block.begin(), family_.in_block.end(),
                       [](const GgufName& name) { return name.change == GgufChange::kExperts; });
  }

  void mixture() {
    config_[model_type_ == "mixtral" ? "num_local_experts" : "num_experts"] =
        integer("expert_count");
    config_["num_experts_per_tok"] = integer("expert_used_count");
    if (const auto inner = optional_integer("expert_feed_forward_length")) {
      config_["moe_intermediate_size"] = *inner;
      if (!config_.contains("intermediate_size")) config_["intermediate_size"] = *inner;
    }
    if (model_type_ == "qwen3_moe") config_["norm_topk_prob"] = true;
    if (model_type_ == "qwen2_moe")
      config_["shared_expert_intermediate_size"] = integer("expert_shared_feed_forward_length");
  }

  void gemma2(int64_t heads, int64_t width) {
    constexpr int64_t kBlocksOf27B = 46;  // only this size scales by another number than head_dim
    const int64_t head_size = integer("attention.key_length");
    config_["query_pre_attn_scalar"] =
        integer("block_count") == kBlocksOf27B ? width / heads : head_size;
    config_["sliding_window"] = integer("attention.sliding_window");
    if (const auto cap = optional_number("attn_logit_softcapping"))
      config_["attn_logit_softcapping"] = *cap;
    if (const auto cap = optional_number("final_logit_softcapping"))
      config_["final_logit_softcapping"] = *cap;
    config_["tie_word_embeddings"] = true;
  }

  void phi3(int64_t heads, int64_t width) {
    if (const auto window = optional_integer("attention.sliding_window"); window.value_or(0) > 0)
      config_["sliding_window"] = *window;
    const auto rotated = optional_integer("rope.dimension_count");
    if (rotated && *rotated * heads != width)
      config_["partial_rotary_factor"] =
          static_cast<double>(*rotated * heads) / static_cast<double>(width);
  }

  void rotary_scaling() {
    const std::string type =
        metadata_.optional_text(metadata_.own("rope.scaling.type")).value_or("none");
    const auto original = optional_integer("rope.scaling.original_context_length");
    if (const GgufTensor* factors = header_.find("rope_freqs.weight")) {
      llama3_scaling(values_of(*factors));
    } else if (header_.find("rope_factors_long.weight")) {
      const GgufTensor* short_factors = header_.find("rope_factors_short.weight");
      if (!short_factors || !original)
        data_error("{}: rope_factors_long.weight without rope_factors_short.weight or {}",
                   metadata_.file(), metadata_.own("rope.scaling.original_context_length"));
      config_["original_max_position_embeddings"] = *original;
      config_["rope_scaling"] = {
          {"type", "longrope"},
          {"long_factor", values_of(*header_.find("rope_factors_long.weight"))},
          {"short_factor", values_of(*short_factors)}};
    } else if (type == "linear" || type == "yarn") {
      config_["rope_scaling"] = {{"rope_type", type}, {"factor", number("rope.scaling.factor")}};
      if (original) config_["rope_scaling"]["original_max_position_embeddings"] = *original;
    } else if (type != "none") {
      data_error("{}: rope.scaling.type '{}' is not supported; none, linear and yarn are",
                 metadata_.file(), type);
    }
  }

  /// The file holds the divisors of the frequencies that Llama 3.1's rule gives: of its numbers
  /// only `factor` differs between the published models.
  void llama3_scaling(const std::vector<float>& divisors) {
    constexpr double kLow = 1, kHigh = 4;
    constexpr int64_t kOriginalPositions = 8192;
    constexpr auto kOriginal = static_cast<double>(kOriginalPositions);
    const double factor = *std::max_element(divisors.begin(), divisors.end());
    const double theta = config_.at("rope_theta");
    for (size_t i = 0; i < divisors.size(); ++i) {
      const double exponent = static_cast<double>(i) / static_cast<double>(divisors.size());
      const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
      const double weight = std::clamp((kOriginal / wavelength - kLow) / (kHigh - kLow), 0.0, 1.0);
      const double expected = 1 / ((1 - weight) / factor + weight);
      if (!(std::abs(divisors[i] - expected) <= 1e-3 * expected))
        data_error(
            "{}: rope_freqs.weight is not Llama 3.1's scaling of rotary positions: value {} is {}, "
            "not {}",
            metadata_.file(), i, divisors[i], expected);
    }
    config_["rope_scaling"] = {{"rope_type", "llama3"},
                               {"factor", factor},
                               {"low_freq_factor", kLow},
                               {"high_freq_factor", kHigh},
                               {"original_max_position_embeddings", kOriginalPositions}};
  }

  std::vector<float> values_of(const GgufTensor& tensor) const {
    if (tensor.type != GgufType::kF32)
      data_error("{}: tensor '{}' is expected to be F32", metadata_.file(), tensor.name);
    std::vector<float> values(static_cast<size_t>(tensor.numel()));
    std::memcpy(values.data(), bytes_.substr(tensor.offset).data(), values.size() * sizeof(float));
    return values;
  }

  const GgufHeader& header_;
  std::string_view bytes_;
  GgufMetadata metadata_;
  const GgufFamily& family_;
  std::string model_type_;
  Json config_ = Json::object();
};

}  // namespace

Json gguf_config(const GgufHeader& header, std::string_view bytes, const std::string& file) {
  return ConfigMaker(header, bytes, file).run();
}

}  // namespace assay
