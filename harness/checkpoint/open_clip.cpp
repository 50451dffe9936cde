#include "harness/checkpoint/open_clip.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "harness/core/error.h"

namespace assay {
namespace {

using Renaming = std::pair<std::string_view, std::string_view>;

constexpr Renaming kImageNames[] = {
    {"class_embedding", "vision_model.embeddings.class_embedding"},
    {"positional_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"conv1.weight", "vision_model.embeddings.patch_embedding.weight"},
    {"ln_pre.weight", "vision_model.pre_layrnorm.weight"},
    {"ln_pre.bias", "vision_model.pre_layrnorm.bias"},
    {"ln_post.weight", "vision_model.post_layernorm.weight"},
    {"ln_post.bias", "vision_model.post_layernorm.bias"},
    {"proj", "visual_projection.weight"}};
constexpr Renaming kTextNames[] = {
    {"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"ln_final.weight", "text_model.final_layer_norm.weight"},
    {"ln_final.bias", "text_model.final_layer_norm.bias"},
    {"text_projection", "text_projection.weight"},
    {"logit_scale", "logit_scale"}};
constexpr Renaming kInBlock[] = {{"ln_1.", "layer_norm1."},
                                 {"ln_2.", "layer_norm2."},
                                 {"attn.out_proj.", "self_attn.out_proj."},
                                 {"mlp.c_fc.", "mlp.fc1."},
                                 {"mlp.c_proj.", "mlp.fc2."}};
constexpr std::string_view kVisual = "visual.", kBlocks = "transformer.resblocks.";
/// Stored as [in, out], as matrices that x is multiplied by on the right.
constexpr std::string_view kTransposed[] = {"proj", "text_projection"};

/// A tensor of the view.
struct View {
  TensorInfo info;
  size_t of = 0;      ///< index of the tensor in the file
  int64_t first = 0;  ///< its first element there
  bool transposed = false;
};

class OpenClipView final : public TensorFile {
 public:
  OpenClipView(std::shared_ptr<const TensorFile> file, ClipTower tower, const std::string& where)
      : file_(std::move(file)), text_(tower == ClipTower::kText) {
    for (size_t i = 0; i < file_->tensors().size(); ++i) add(i, where);
    std::sort(views_.begin(), views_.end(),
              [](const View& a, const View& b) { return a.info.name < b.info.name; });
    for (const View& view : views_) infos_.push_back(view.info);
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const override {
    const View& view = views_.at(index);
    if (!view.transposed) return file_->read_part(view.of, view.first + first, count);
    return file_->read(view.of).t().flatten().narrow(0, first, count);
  }
  void prefetch(size_t index, int64_t first, int64_t count) const override {
    const View& view = views_.at(index);
    if (!view.transposed) file_->prefetch(view.of, view.first + first, count);
  }
  void release(size_t index, int64_t first, int64_t count) const override {
    const View& view = views_.at(index);
    if (!view.transposed) file_->release(view.of, view.first + first, count);
  }

 private:
  void add(size_t index, const std::string& where) {
    const TensorInfo& info = file_->tensors()[index];
    std::string_view name = info.name;
    if (name.starts_with(kVisual) == text_ || name == "attn_mask") return;
    if (!text_) name.remove_prefix(kVisual.size());
    const std::span<const Renaming> outside =
        text_ ? std::span<const Renaming>(kTextNames) : std::span<const Renaming>(kImageNames);
    for (const auto& [own, other] : outside)
      if (name == own) {
        View view{{std::string(other), info.dtype, info.shape}, index};
        if (std::find(std::begin(kTransposed), std::end(kTransposed), own) !=
            std::end(kTransposed)) {
          if (info.shape.size() != 2) fail(where, info, "no matrix");
          std::swap(view.info.shape[0], view.info.shape[1]);
          view.transposed = true;
        }
        views_.push_back(std::move(view));
        return;
      }
    if (!name.starts_with(kBlocks)) fail(where, info, "of no tensor of a plain tower");
    name.remove_prefix(kBlocks.size());
    const size_t dot = std::min(name.find('.'), name.size());
    const std::string block =
        fmt::format("{}_model.encoder.layers.{}.", text_ ? "text" : "vision", name.substr(0, dot));
    const std::string_view part = name.substr(std::min(dot + 1, name.size()));
    if (part == "attn.in_proj_weight" || part == "attn.in_proj_bias") {
      split(index, block, part.ends_with("weight") ? "weight" : "bias", where);
      return;
    }
    for (const auto& [own, other] : kInBlock)
      if (part.starts_with(own)) {
        views_.push_back(
            {{fmt::format("{}{}{}", block, other, part.substr(own.size())), info.dtype, info.shape},
             index});
        return;
      }
    fail(where, info, "of no tensor of a plain tower");
  }
  void split(size_t index, const std::string& block, const char* kind, const std::string& where) {
    const TensorInfo& info = file_->tensors()[index];
    if (info.shape.empty() || info.shape[0] % 3 != 0) fail(where, info, "not of three parts");
    std::vector<int64_t> shape = info.shape;
    shape[0] /= 3;
    int64_t first = 0;
    for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
      views_.push_back(
          {{fmt::format("{}self_attn.{}.{}", block, part, kind), info.dtype, shape}, index, first});
      first += info.numel() / 3;
    }
  }
  [[noreturn]] static void fail(const std::string& where, const TensorInfo& info,
                                std::string_view what) {
    data_error("{}: OpenCLIP's tensor '{}' {} is {}", where, info.name, shape_text(info.shape),
               what);
  }

  std::shared_ptr<const TensorFile> file_;
  bool text_;
  std::vector<View> views_;
  std::vector<TensorInfo> infos_;
};

int64_t size_of(JsonReader& reader, const char* key) {
  const JsonReader value = reader.at(key);
  if (value.as_integer() < 1) value.fail("expected an integer of at least 1");
  return value.as_integer();
}

/// The fields that both towers have.
Json blocks_config(JsonReader& model, JsonReader& tower, int64_t width, int64_t heads) {
  const auto ratio = tower.find("mlp_ratio");
  return {{"hidden_size", width},
          {"num_hidden_layers", size_of(tower, "layers")},
          {"num_attention_heads", heads},
          {"intermediate_size",
           static_cast<int64_t>(static_cast<double>(width) * (ratio ? ratio->as_number() : 4.0))},
          {"projection_dim", size_of(model, "embed_dim")},
          {"hidden_act", model.boolean("quick_gelu", false) ? "quick_gelu" : "gelu"},
          {"layer_norm_eps", 1e-5}};
}

Json image_tower_config(JsonReader& model) {
  JsonReader vision = model.at("vision_cfg");
  const int64_t width = size_of(vision, "width");
  const int64_t head_width = vision.integer("head_width", 64);
  if (head_width < 1 || width % head_width != 0)
    vision.fail(fmt::format("the width {} is not divided into heads of {}", width, head_width));
  vision.integer("patch_dropout", 0);  // of training
  Json config = blocks_config(model, vision, width, width / head_width);
  config["model_type"] = "clip_vision_model";
  config["architectures"] = {"CLIPVisionModelWithProjection"};
  config["image_size"] = vision.integer("image_size", 224);
  config["patch_size"] = size_of(vision, "patch_size");
  vision.finish();
  return config;
}

Json text_tower_config(JsonReader& model) {
  JsonReader text = model.at("text_cfg");
  const int64_t width = size_of(text, "width"), heads = size_of(text, "heads");
  Json config = blocks_config(model, text, width, heads);
  config["model_type"] = "clip_text_model";
  config["architectures"] = {"CLIPTextModelWithProjection"};
  config["max_position_embeddings"] = text.integer("context_length", 77);
  config["vocab_size"] = text.integer("vocab_size", 49408);
  config["eos_token_id"] = 2;  // the highest id of a text ends it
  text.finish();
  return config;
}

}  // namespace

Json open_clip_config(const JsonReader& open_clip, ClipTower tower) {
  JsonReader root = open_clip;
  JsonReader model = root.at("model_cfg");
  return tower == ClipTower::kText ? text_tower_config(model) : image_tower_config(model);
}

std::shared_ptr<const TensorFile> open_clip_view(std::shared_ptr<const TensorFile> file,
                                                 ClipTower tower, const std::string& where) {
  return std::make_shared<OpenClipView>(std::move(file), tower, where);
}

}  // namespace assay
