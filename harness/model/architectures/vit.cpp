/// ViT as transformers has it, with or without its classification head. Without one, logits() gives
/// the features of the image.
#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/vision_transformer.h"

namespace assay {
namespace {

VisionTransformerConfig read_vit(ConfigFields& config) {
  VisionTransformerConfig c;
  c.model = "vit";
  c.channels = config.size("num_channels", 3);
  c.image_size = config.size("image_size", 224);
  c.patch_size = config.size("patch_size", 16);
  c.width = config.size("hidden_size", 768);
  c.layers = config.layers("num_hidden_layers", 12);
  c.heads = config.size("num_attention_heads", 12);
  config.per_head("hidden_size", c.width, "num_attention_heads", c.heads);
  c.norm_epsilon = config.positive("layer_norm_eps", 1e-12);
  c.initializer_range = config.positive("initializer_range", 0.02);
  c.query_bias = config.flag("qkv_bias", true);
  c.feed_forward = {
      .width = c.width,
      .inner = config.size("intermediate_size", 3072),
      .bias = true,
      .activation = activation(config.text("hidden_act", "gelu"), config.where() + ".hidden_act")};
  c.outputs = config.classes("ForImageClassification");
  // Of heads that are not read: masked image modelling, and the pooler.
  config.ignore({"encoder_stride", "pooler_act", "pooler_output_size",
                 "attention_probs_dropout_prob", "hidden_dropout_prob", "problem_type"});

  c.class_token = "vit.embeddings.cls_token";
  c.positions = "vit.embeddings.position_embeddings";
  c.patches = "vit.embeddings.patch_embeddings.projection";
  c.block = "vit.encoder.layer.";
  c.query = "attention.attention.query";
  c.key = "attention.attention.key";
  c.value = "attention.attention.value";
  c.attention_output = "attention.output.dense";
  c.attention_norm = "layernorm_before";
  c.up = "intermediate.dense";
  c.down = "output.dense";
  c.feed_forward_norm = "layernorm_after";
  c.last_norm = "vit.layernorm";
  c.head = "classifier";
  c.leading_ones = true;
  for (const char* part : {"embeddings.", "encoder.", "layernorm.", "pooler."})
    c.names.renamed.emplace_back(part, std::string("vit.") + part);
  c.names.ignored = {"vit.pooler.", "vit.embeddings.mask_token"};
  return c;
}

constexpr const char* kExample = R"({"hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12, "image_size": 8, "patch_size": 4,
    "architectures": ["ViTForImageClassification"], "num_labels": 3})";

ASSAY_REGISTER([] {
  architectures().add("vit", {"vision transformer",
                              "Dosovitskiy et al., arXiv:2010.11929",
                              {},
                              [](const JsonReader& fields) {
                                ConfigFields config(fields);
                                VisionTransformerConfig vit = read_vit(config);
                                config.finish();
                                Json json = fields.json();
                                json["model_type"] = "vit";
                                return make_vision_transformer(std::move(vit), std::move(json),
                                                               fields.where());
                              },
                              kExample});
})

}  // namespace
}  // namespace assay
