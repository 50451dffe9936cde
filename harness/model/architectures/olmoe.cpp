/// OLMoE: Llama's architecture with experts, and queries and keys normalised over all heads
/// together.
#include "harness/model/architectures/llama_like.h"
#include "harness/model/architectures/qwen_experts.h"

namespace assay {
namespace {

struct Olmoe {
  static constexpr std::string_view name = "olmoe";
  static constexpr std::string_view summary =
      "Llama's architecture with experts and RMSNorm on queries and keys";
  static constexpr std::string_view paper = "Muennighoff et al., arXiv:2409.02060";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "num_experts": 3,
      "num_experts_per_tok": 2})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.names.query_norm = "self_attn.q_norm";
    c.names.key_norm = "self_attn.k_norm";
    c.query_key_norm = QueryKeyNorm::kAllHeads;
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    c.feed_forward = read_qwen_experts(config, c.width, c.layers, false);
    return c;
  }
};

ASSAY_DECODER(Olmoe)

}  // namespace
}  // namespace assay
