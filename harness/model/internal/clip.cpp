#include "harness/model/internal/clip.h"

#include <algorithm>

namespace assay {

bool clip_projects(ConfigFields& config) {
  const auto names = config.find("architectures");
  if (!names) return false;
  const std::vector<std::string> models = names->as_strings();
  return std::any_of(models.begin(), models.end(),
                     [](const std::string& model) { return model.ends_with("WithProjection"); });
}

PreNormConfig read_clip_blocks(ConfigFields& config, const std::string& tower,
                               const ClipSizes& defaults) {
  PreNormConfig c;
  c.width = config.size("hidden_size", defaults.width);
  c.layers = config.layers("num_hidden_layers", 12);
  c.heads = config.size("num_attention_heads", defaults.heads);
  config.per_head("hidden_size", c.width, "num_attention_heads", c.heads);
  c.norm_epsilon = config.positive("layer_norm_eps", 1e-5);
  c.feed_forward = {.width = c.width,
                    .inner = config.size("intermediate_size", defaults.inner),
                    .bias = true,
                    .activation = activation(config.text("hidden_act", "quick_gelu"),
                                             config.where() + ".hidden_act")};
  config.ignore({"attention_dropout", "dropout", "initializer_factor"});
  c.block = tower + "encoder.layers.";
  c.query = "self_attn.q_proj";
  c.key = "self_attn.k_proj";
  c.value = "self_attn.v_proj";
  c.attention_output = "self_attn.out_proj";
  c.attention_norm = "layer_norm1";
  c.up = "mlp.fc1";
  c.down = "mlp.fc2";
  c.feed_forward_norm = "layer_norm2";
  return c;
}

}  // namespace assay
