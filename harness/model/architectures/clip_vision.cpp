/// The image tower of CLIP, alone ("clip_vision_model") or within a whole CLIP model ("clip"),
/// whose text tower is not read. It has no classes: logits() gives the image's features, projected
/// into the space that images and texts share where the checkpoint has the projection. A zero-shot
/// head is a constant of the task and no part of the model.
#include "harness/model/internal/clip.h"
#include "harness/model/internal/vision_transformer.h"

namespace assay {

namespace {

constexpr const char* kTower = "vision_model.";

VisionTransformerConfig read_tower(ConfigFields& config, std::string model) {
  const std::string tower = kTower;
  VisionTransformerConfig c;
  static_cast<PreNormConfig&>(c) =
      read_clip_blocks(config, tower, {.width = 768, .heads = 12, .inner = 3072});
  c.model = std::move(model);
  c.channels = config.size("num_channels", 3);
  c.image_size = config.size("image_size", 224);
  c.patch_size = config.size("patch_size", 32);
  c.initializer_range = config.positive("initializer_range", 0.02);
  c.class_token = tower + "embeddings.class_embedding";
  c.positions = tower + "embeddings.position_embedding.weight";
  c.patches = tower + "embeddings.patch_embedding";
  c.patch_bias = false;
  c.first_norm = tower + "pre_layrnorm";
  c.last_norm = tower + "post_layernorm";
  c.head = "visual_projection";
  c.head_bias = c.head_of_classes = false;
  for (const char* part : {"embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm."})
    c.names.renamed.emplace_back(part, tower + part);
  c.names.ignored = {tower + "embeddings.position_ids"};
  return c;
}

std::unique_ptr<Architecture> make_tower(const JsonReader& fields) {
  ConfigFields config(fields);
  VisionTransformerConfig tower = read_tower(config, "clip_vision_model");
  const int64_t projected = config.size("projection_dim", 512);
  if (clip_projects(config)) tower.outputs = projected;
  config.finish();
  Json json = fields.json();
  json["model_type"] = "clip_vision_model";
  return make_vision_transformer(std::move(tower), std::move(json), fields.where());
}

std::unique_ptr<Architecture> make_clip(const JsonReader& fields) {
  ConfigFields config(fields);
  const Json empty = Json::object();
  const auto vision = config.find("vision_config");
  ConfigFields vision_config(vision ? *vision : JsonReader(empty, fields.where()));
  VisionTransformerConfig tower = read_tower(vision_config, "clip");
  vision_config.ignore({"model_type", "projection_dim"});
  vision_config.finish();
  tower.outputs = config.size("projection_dim", 512);
  for (const char* part : {"text_model.", "text_projection.", "logit_scale"})
    tower.names.ignored.emplace_back(part);
  config.ignore({"text_config", "text_config_dict", "vision_config_dict", "logit_scale_init_value",
                 "initializer_factor"});
  config.finish();
  Json json = fields.json();
  json["model_type"] = "clip";
  return make_vision_transformer(std::move(tower), std::move(json), fields.where());
}

constexpr const char* kPaper = "Radford et al., arXiv:2103.00020";
constexpr const char* kTowerExample = R"({"hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12, "image_size": 8, "patch_size": 4,
    "projection_dim": 6, "architectures": ["CLIPVisionModelWithProjection"]})";
constexpr const char* kClipExample = R"({"vision_config": {"hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12, "image_size": 8, "patch_size": 4},
    "projection_dim": 6})";

ASSAY_REGISTER([] {
  architectures().add("clip_vision_model",
                      {"the image tower of CLIP", kPaper, {}, make_tower, kTowerExample});
  architectures().add("clip",
                      {"CLIP, of which the image tower is read; a zero-shot head reads the other",
                       kPaper,
                       {},
                       make_clip,
                       kClipExample});
})

}  // namespace
}  // namespace assay
