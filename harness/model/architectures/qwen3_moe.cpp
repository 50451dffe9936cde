/// Qwen 3, mixtures of experts: Qwen 3's attention and many small experts.
#include "harness/model/architectures/llama_like.h"
#include "harness/model/architectures/qwen_experts.h"

namespace assay {
namespace {

struct Qwen3Moe {
  static constexpr std::string_view name = "qwen3_moe";
  static constexpr std::string_view summary = "Qwen 3's architecture with experts";
  static constexpr std::string_view paper = "Yang et al., arXiv:2505.09388";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "head_dim": 4, "num_experts": 3,
      "num_experts_per_tok": 2, "moe_intermediate_size": 4, "norm_topk_prob": true})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.names.query_norm = "self_attn.q_norm";
    c.names.key_norm = "self_attn.k_norm";
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    const bool used = config.flag("use_sliding_window", false);
    const int64_t window = config.optional_size("sliding_window", 4096).value_or(0);
    config.ignore({"max_window_layers"});  // all blocks slide, or none does
    c.windows.assign(static_cast<size_t>(c.layers), used ? window : 0);
    c.feed_forward = read_qwen_experts(config, c.width, c.layers, false);
    return c;
  }
};

ASSAY_DECODER(Qwen3Moe)

}  // namespace
}  // namespace assay
