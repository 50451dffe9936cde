/// Phi-3 and 3.5 (mini, medium): Llama's architecture with fused weights and LongRoPE.
#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

struct Phi3 {
  static constexpr std::string_view name = "phi3";
  static constexpr std::string_view summary =
      "Llama's architecture with fused query-key-value and gate-up weights";
  static constexpr std::string_view paper = "Abdin et al., arXiv:2404.14219";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {.partial = 1.0});
    c.names.query = c.names.key = c.names.value = "";
    c.names.query_key_value = "self_attn.qkv_proj";
    config.only("attention_bias", false);
    const FeedForwardShape shape = read_feed_forward(config, c.width, "hidden_act", "silu");
    c.feed_forward = [shape](int64_t, const std::string& block) {
      return fused_gated_feed_forward(shape, block + "mlp.gate_up_proj", block + "mlp.down_proj");
    };
    c.windows.assign(static_cast<size_t>(c.layers),
                     config.optional_size("sliding_window").value_or(0));
    return c;
  }
};

ASSAY_DECODER(Phi3)

}  // namespace
}  // namespace assay
