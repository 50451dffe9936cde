/// Llama 1 to 3 and the many models of the same architecture (SmolLM2, Yi, ...).
#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

struct Llama {
  static constexpr std::string_view name = "llama";
  static constexpr std::string_view summary =
      "decoder with RMSNorm, rotary positions, grouped-query attention and gated feed-forward";
  static constexpr std::string_view paper = "Touvron et al., arXiv:2302.13971";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    return c;
  }
};

ASSAY_DECODER(Llama)

}  // namespace
}  // namespace assay
