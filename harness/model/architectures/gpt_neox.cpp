/// GPT-NeoX and Pythia: LayerNorm, partial rotary embeddings, attention and feed-forward in
/// parallel.
#include "harness/model/internal/decoder.h"

namespace assay {
namespace {

struct GptNeoX {
  static constexpr std::string_view name = "gpt_neox";
  static constexpr std::string_view summary =
      "decoder with rotary positions, LayerNorm and a parallel residual";
  static constexpr std::string_view paper = "Black et al., arXiv:2204.06745";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 16,
      "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
      "layer_norm_eps": 1e-5})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c;
    c.vocabulary = config.size("vocab_size");
    c.max_positions = config.size("max_position_embeddings", 2048);
    c.width = config.size("hidden_size");
    c.layers = config.layers("num_hidden_layers");
    c.heads = c.kv_heads = config.size("num_attention_heads");
    c.head_size = config.per_head("hidden_size", c.width, "num_attention_heads", c.heads);
    c.norm = NormKind::kLayer;
    c.norm_epsilon = config.positive("layer_norm_eps");
    c.initializer_range = config.positive("initializer_range", 0.02);
    // Names of these two fields before transformers 5.
    const double theta = config.positive("rotary_emb_base", 10000);
    const double partial = config.positive("rotary_pct", 0.25);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {theta, partial});
    c.qkv_layout = QkvLayout::kPerHead;
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", true);
    c.parallel_residual = config.flag("use_parallel_residual", true);
    c.tied_head = config.flag("tie_word_embeddings", false);
    c.names = names();
    c.checkpoint_names = checkpoint_names(c.tied_head);
    FeedForwardShape shape;
    shape.width = c.width;
    shape.inner = config.size("intermediate_size");
    shape.bias = true;
    shape.activation =
        activation(config.text("hidden_act", "gelu"), config.where() + ".hidden_act");
    c.feed_forward = [shape](int64_t, const std::string& block) {
      return plain_feed_forward(shape, block + "mlp.dense_h_to_4h", block + "mlp.dense_4h_to_h");
    };
    return c;
  }

 private:
  static DecoderNames names() {
    DecoderNames n;
    n.embedding = "gpt_neox.embed_in";
    n.layers = "gpt_neox.layers";
    n.final_norm = "gpt_neox.final_layer_norm";
    n.head = "embed_out";
    n.attention_norm = "input_layernorm";
    n.feed_forward_norm = "post_attention_layernorm";
    n.query_key_value = "attention.query_key_value";
    n.attention_output = "attention.dense";
    return n;
  }
  static CheckpointNames checkpoint_names(bool tied_head) {
    CheckpointNames n;
    for (const char* part : {"embed_in.", "layers.", "final_layer_norm."})
      n.renamed.emplace_back(part, std::string("gpt_neox.") + part);
    n.renamed.emplace_back("lm_head.", "embed_out.");
    n.ignored = {".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"};
    if (tied_head) n.tied = {{"embed_out.weight", "gpt_neox.embed_in.weight"}};
    return n;
  }
};

ASSAY_DECODER(GptNeoX)

}  // namespace
}  // namespace assay
