#include "harness/lm/zero_shot.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/model/open.h"

namespace assay {
namespace {

constexpr std::string_view kPlace = "{}";
constexpr const char* kLogitScale = "logit_scale";

/// The text tower's config.json, which a whole CLIP model's has within its own.
Json text_tower_config(const Checkpoint& checkpoint, const std::string& where) {
  const Json& config = checkpoint.config();
  if (config.is_null()) user_error("{}: {} has no config.json", where, checkpoint.label());
  const std::string type = config.value("model_type", "");
  if (type == "clip_text_model") return config;
  if (type != "clip")
    user_error(
        "{}: {} is of the type '{}', which has no text tower; allowed are clip and "
        "clip_text_model",
        where, checkpoint.label(), type);
  JsonReader fields(config, checkpoint.label() + ": config.json");
  Json text = Json::object();
  if (const auto own = fields.find("text_config")) {
    own->entries();  // refuses anything but an object
    text = own->json();
  }
  text["model_type"] = "clip_text_model";
  text["projection_dim"] = fields.integer("projection_dim", 512);
  text["architectures"] = {"CLIPTextModelWithProjection"};
  return text;
}

struct TextTower {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const EncoderArchitecture> architecture;
  std::shared_ptr<const Tokenizer> tokenizer;
};

TextTower find_text_tower(const std::string& model, const std::string& where) {
  const auto checkpoint = Checkpoint::open_text_tower(find_model(model));
  const Json config = text_tower_config(*checkpoint, where);
  std::shared_ptr<const Architecture> architecture =
      make_architecture(JsonReader(config, checkpoint->label() + ": the text tower"));
  return {checkpoint, std::dynamic_pointer_cast<const EncoderArchitecture>(architecture),
          Tokenizer::open(checkpoint->path())};
}

at::Tensor normalised(const at::Tensor& rows) { return rows / rows.norm(2, -1, true); }

std::string filled(std::string text, const std::string& name) {
  for (size_t at = text.find(kPlace); at != std::string::npos;
       at = text.find(kPlace, at + name.size()))
    text.replace(at, kPlace.size(), name);
  return text;
}

}  // namespace

EncoderModel open_text_tower(const std::string& model, const std::string& where,
                             at::Device device) {
  TextTower tower = find_text_tower(model, where);
  StateDict weights = load_weights(*tower.architecture, *tower.checkpoint, device,
                                   compute_dtype(std::nullopt, device, *tower.checkpoint));
  return {std::move(tower.architecture), std::move(weights), device, std::move(tower.tokenizer),
          tower.checkpoint->content_hash()};
}

at::Tensor zero_shot_head(const EncoderModel& tower, const ZeroShotSpec& spec,
                          const std::string& where) {
  std::vector<EncoderText> texts;
  for (const std::string& name : spec.class_names)
    for (const std::string& of_class : spec.templates)
      texts.push_back({filled(of_class, name), std::nullopt, where});
  const at::Tensor embeddings = normalised(EncoderModelPredictor(tower).embeddings(texts));
  const auto classes = static_cast<int64_t>(spec.class_names.size());
  return normalised(embeddings.view({classes, -1, embeddings.size(1)}).mean(1));
}

ZeroShotHead::ZeroShotHead(ZeroShotSpec spec, std::string where)
    : spec_(std::move(spec)), where_(std::move(where)) {
  for (const std::string& one : spec_.templates)
    if (one.find(kPlace) == std::string::npos)
      user_error("{}.templates: '{}' has no '{}' where the class name goes", where_, one, kPlace);
  const TextTower tower = find_text_tower(spec_.model, where_ + ".model");
  if (tower.checkpoint->find(kLogitScale))
    scale_ = std::exp(tower.checkpoint->read(kLogitScale).to(at::kDouble).item<double>());
  Hasher hasher;
  hasher.text("zero-shot head 1").text(tower.checkpoint->content_hash());
  hasher.text(computation_hash(*tower.architecture, tower.tokenizer.get()));
  for (const auto* texts : {&spec_.class_names, &spec_.templates}) {
    hasher.number(texts->size());
    for (const std::string& text : *texts) hasher.text(text);
  }
  hash_ = hasher.hex();
}

at::Tensor ZeroShotHead::logits(const at::Tensor& features) const {
  const std::lock_guard lock(mutex_);
  if (!head_.defined())
    head_ = zero_shot_head(open_text_tower(spec_.model, where_, at::kCPU), spec_, where_);
  if (features.dim() != 2 || features.size(1) != head_.size(1))
    data_error("{}: the texts have features of {} numbers, the images of shape {}", where_,
               head_.size(1), shape_text(features.sizes()));
  const at::Tensor head = head_.to(features.options());
  return scale_ * at::matmul(normalised(features), head.t());
}

}  // namespace assay
