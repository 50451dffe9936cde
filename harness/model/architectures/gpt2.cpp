/// GPT-2: learned positions, LayerNorm, one weight for query, key and value, all stored [in, out].
#include "harness/model/internal/decoder.h"

namespace assay {
namespace {

struct Gpt2 {
  static constexpr std::string_view name = "gpt2";
  static constexpr std::string_view summary =
      "decoder with learned positions, LayerNorm and plain feed-forward";
  static constexpr std::string_view paper = "Radford et al. 2019";
  static constexpr std::string_view example =
      R"({"vocab_size": 16, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c;
    c.vocabulary = config.size("vocab_size");
    c.max_positions = config.size("n_positions");
    c.width = config.size("n_embd");
    c.layers = config.layers("n_layer");
    c.heads = c.kv_heads = config.size("n_head");
    c.head_size = config.per_head("n_embd", c.width, "n_head", c.heads);
    c.norm = NormKind::kLayer;
    c.norm_epsilon = config.positive("layer_norm_epsilon", 1e-5);
    c.initializer_range = config.positive("initializer_range", 0.02);
    c.attention_layout = LinearLayout::kInOut;
    c.qkv_bias = c.attention_output_bias = true;
    c.attention_scale = config.flag("scale_attn_weights", true) ? 0 : 1;
    c.scale_by_layer = config.flag("scale_attn_by_inverse_layer_idx", false);
    c.tied_head = config.flag("tie_word_embeddings", true);
    c.names = names();
    c.checkpoint_names = checkpoint_names(c.tied_head);
    FeedForwardShape shape;
    shape.width = c.width;
    shape.inner = config.size("n_inner", 4 * c.width);
    shape.bias = true;
    shape.activation = activation(config.text("activation_function", "gelu_new"),
                                  config.where() + ".activation_function");
    c.feed_forward = [shape](int64_t, const std::string& block) {
      return plain_feed_forward(shape, block + "mlp.c_fc", block + "mlp.c_proj",
                                LinearLayout::kInOut);
    };
    // Ignored: float32 for half-precision attention, and heads other than the language model head.
    config.ignore({"reorder_and_upcast_attn", "n_ctx", "summary_activation",
                   "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                   "summary_use_proj"});
    return c;
  }

 private:
  static DecoderNames names() {
    DecoderNames n;
    n.embedding = "transformer.wte";
    n.positions = "transformer.wpe";
    n.layers = "transformer.h";
    n.final_norm = "transformer.ln_f";
    n.head = "lm_head";
    n.attention_norm = "ln_1";
    n.feed_forward_norm = "ln_2";
    n.query_key_value = "attn.c_attn";
    n.attention_output = "attn.c_proj";
    return n;
  }
  static CheckpointNames checkpoint_names(bool tied_head) {
    CheckpointNames n;
    for (const char* part : {"wte.", "wpe.", "h.", "ln_f."})
      n.renamed.emplace_back(part, std::string("transformer.") + part);
    n.ignored = {".attn.bias", ".attn.masked_bias"};
    if (tied_head) n.tied = {{"lm_head.weight", "transformer.wte.weight"}};
    return n;
  }
};

ASSAY_DECODER(Gpt2)

}  // namespace
}  // namespace assay
