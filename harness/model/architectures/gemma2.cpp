/// Gemma 2: norms before and after attention and feed-forward, soft-capped logits, and
/// sliding-window attention in every other layer.
#include <cmath>

#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

// 0, no soft cap, when the field is null.
double read_softcap(ConfigFields& config, const std::string& key, double default_cap) {
  const auto cap = config.optional_number(key, default_cap);
  return cap ? config.positive(key, default_cap) : 0;
}

struct Gemma2 {
  static constexpr std::string_view name = "gemma2";
  static constexpr std::string_view summary =
      "Llama's architecture with norms on both sides, soft-capping and alternating windows";
  static constexpr std::string_view paper = "Gemma Team, arXiv:2408.00118";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "head_dim": 4,
      "query_pre_attn_scalar": 4, "sliding_window": 4})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.tied_head = config.flag("tie_word_embeddings", true);
    c.checkpoint_names = llama_checkpoint_names(c.tied_head);
    c.feed_forward = gated_llama_feed_forward(
        read_feed_forward(config, c.width, "hidden_activation", "gelu_pytorch_tanh"));
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.norm = NormKind::kRmsPlusOne;
    c.names.after_attention_norm = "post_attention_layernorm";
    c.names.feed_forward_norm = "pre_feedforward_layernorm";
    c.names.after_feed_forward_norm = "post_feedforward_layernorm";
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    c.embedding_scale = std::sqrt(static_cast<double>(c.width));
    c.attention_scale = 1 / std::sqrt(config.positive("query_pre_attn_scalar"));
    c.attention_softcap = read_softcap(config, "attn_logit_softcapping", 50);
    c.logit_softcap = read_softcap(config, "final_logit_softcapping", 30);
    const int64_t window = config.optional_size("sliding_window", 4096).value_or(0);
    c.windows = read_windows(config, c.layers, window, [](int64_t i) { return i % 2 == 0; });
    config.only("use_bidirectional_attention", false);
    return c;
  }
};

ASSAY_DECODER(Gemma2)

}  // namespace
}  // namespace assay
