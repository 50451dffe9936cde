/// Qwen 1.5 and 2, mixtures of experts: Qwen 2's attention, many small experts, and a gated expert
/// that every token is sent to. The weights of a token's experts need not sum to 1.
#include "harness/model/architectures/llama_like.h"
#include "harness/model/architectures/qwen_experts.h"

namespace assay {
namespace {

struct Qwen2Moe {
  static constexpr std::string_view name = "qwen2_moe";
  static constexpr std::string_view summary =
      "Qwen 2's architecture with experts and a gated shared expert";
  static constexpr std::string_view paper = "Yang et al., arXiv:2407.10671";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "num_experts": 3, "num_experts_per_tok": 2,
      "moe_intermediate_size": 4, "shared_expert_intermediate_size": 6, "mlp_only_layers": [0]})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.qkv_bias = config.flag("qkv_bias", true);
    // Every other block slides, of those below `max_window_layers`.
    const bool used = config.flag("use_sliding_window", false);
    const int64_t window = config.find("sliding_window") ? config.count("sliding_window", 0) : 4096;
    const int64_t end = config.count("max_window_layers", 28);
    c.windows = read_windows(config, c.layers, used ? window : 0,
                             [end](int64_t i) { return i % 2 == 0 && i < end; });
    c.feed_forward = read_qwen_experts(config, c.width, c.layers, true);
    return c;
  }
};

ASSAY_DECODER(Qwen2Moe)

}  // namespace
}  // namespace assay
