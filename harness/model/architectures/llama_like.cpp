#include "harness/model/architectures/llama_like.h"

#include "harness/core/error.h"

namespace assay {
namespace {

DecoderNames llama_names() {
  DecoderNames names;
  names.embedding = "model.embed_tokens";
  names.layers = "model.layers";
  names.final_norm = "model.norm";
  names.head = "lm_head";
  names.attention_norm = "input_layernorm";
  names.feed_forward_norm = "post_attention_layernorm";
  names.query = "self_attn.q_proj";
  names.key = "self_attn.k_proj";
  names.value = "self_attn.v_proj";
  names.attention_output = "self_attn.o_proj";
  return names;
}

}  // namespace

CheckpointNames llama_checkpoint_names(bool tied_head) {
  CheckpointNames names;
  // A checkpoint saved without its head (LlamaModel) has no prefix "model.".
  for (const char* part : {"embed_tokens.", "layers.", "norm."})
    names.renamed.emplace_back(part, std::string("model.") + part);
  names.ignored = {".rotary_emb.inv_freq"};
  if (tied_head) names.tied = {{"lm_head.weight", "model.embed_tokens.weight"}};
  return names;
}

FeedForwardShape read_feed_forward(ConfigFields& config, int64_t width, const std::string& key,
                                   const std::string& fallback) {
  FeedForwardShape shape;
  shape.width = width;
  shape.inner = config.size("intermediate_size");
  shape.bias = config.flag("mlp_bias", false);
  shape.activation = activation(config.text(key, fallback), config.where() + "." + key);
  return shape;
}

FeedForwardMaker gated_llama_feed_forward(const FeedForwardShape& shape) {
  return [shape](int64_t, const std::string& block) {
    return gated_feed_forward(shape, block + "mlp.gate_proj", block + "mlp.up_proj",
                              block + "mlp.down_proj");
  };
}

DecoderConfig read_llama_like(ConfigFields& config) {
  DecoderConfig c;
  c.vocabulary = config.size("vocab_size");
  c.width = config.size("hidden_size");
  c.layers = config.layers("num_hidden_layers");
  c.heads = config.size("num_attention_heads");
  c.kv_heads = config.size("num_key_value_heads", c.heads);
  const auto head_size = config.optional_size("head_dim");
  c.head_size = head_size ? *head_size
                          : config.per_head("hidden_size", c.width, "num_attention_heads", c.heads);
  c.max_positions = config.size("max_position_embeddings", 2048);
  c.norm_epsilon = config.positive("rms_norm_eps");
  c.initializer_range = config.positive("initializer_range", 0.02);
  c.tied_head = config.flag("tie_word_embeddings", false);
  c.names = llama_names();
  c.checkpoint_names = llama_checkpoint_names(c.tied_head);
  c.feed_forward =
      gated_llama_feed_forward(read_feed_forward(config, c.width, "hidden_act", "silu"));
  return c;
}

std::vector<int64_t> read_windows(ConfigFields& config, int64_t layers, int64_t window,
                                  const std::function<bool(int64_t layer)>& slides) {
  std::vector<int64_t> windows;
  if (const auto types = config.find("layer_types")) {
    for (const JsonReader& type : types->elements()) {
      const std::string name = type.as_string();
      if (name != "full_attention" && name != "sliding_attention")
        type.fail("expected full_attention or sliding_attention");
      if (name == "sliding_attention" && window == 0)
        type.fail("a sliding layer needs 'sliding_window'");
      windows.push_back(name == "sliding_attention" ? window : 0);
    }
    if (static_cast<int64_t>(windows.size()) != layers)
      types->fail(fmt::format("expected one type for each of {} layers", layers));
    return windows;
  }
  for (int64_t i = 0; i < layers; ++i) windows.push_back(slides(i) ? window : 0);
  return windows;
}

std::vector<int64_t> read_optional_windows(ConfigFields& config, int64_t layers) {
  const bool used = config.flag("use_sliding_window", false);
  const int64_t window = config.optional_size("sliding_window", 4096).value_or(0);
  const int64_t first = config.count("max_window_layers", 28);
  return read_windows(config, layers, used ? window : 0, [first](int64_t i) { return i >= first; });
}

}  // namespace assay
