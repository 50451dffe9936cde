/// Qwen 3, dense: Llama's architecture with queries and keys normalised per head.
#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

struct Qwen3 {
  static constexpr std::string_view name = "qwen3";
  static constexpr std::string_view summary =
      "Llama's architecture with RMSNorm on queries and keys";
  static constexpr std::string_view paper = "Yang et al., arXiv:2505.09388";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "head_dim": 4})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.head_size = config.size("head_dim");
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.names.query_norm = "self_attn.q_norm";
    c.names.key_norm = "self_attn.k_norm";
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    c.windows = read_optional_windows(config, c.layers);
    return c;
  }
};

ASSAY_DECODER(Qwen3)

}  // namespace
}  // namespace assay
