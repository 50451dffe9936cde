/// The text tower of CLIP: a causal encoder whose last token, EOS, stands for the text. It has no
/// classes: embed() gives the text's features, projected into the space that images and texts share
/// where the checkpoint has the projection.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/encoder.h"
#include "harness/model/internal/clip.h"
#include "harness/model/internal/family.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

constexpr const char* kTextTower = "text_model.";
constexpr const char* kTextProjection = "text_projection";

struct ClipTextConfig : PreNormConfig {
  int64_t vocabulary = 0, positions = 0;
  int64_t outputs = 0;  ///< of the projection; 0: none
  int64_t eos = 0;
  double initializer_range = 0;
};

class ClipText final : public EncoderArchitecture {
 public:
  ClipText(ClipTextConfig config, Json json)
      : config_(std::move(config)), blocks_(config_), json_(std::move(json)) {}

  Json config() const override { return json_; }
  int64_t vocabulary() const override { return config_.vocabulary; }
  int64_t max_tokens() const override { return config_.positions; }
  int64_t classes() const override { return 0; }
  StateDict initial_weights(uint64_t seed) const override {
    return normal_weights(tensors(), config_.initializer_range, 1.0, seed);
  }
  std::vector<std::vector<std::string>> blocks() const override { return blocks_.names(); }

  CheckpointNames checkpoint_names() const override {
    CheckpointNames names;
    names.ignored = {std::string(kTextTower) + "embeddings.position_ids", "vision_model.",
                     "visual_projection.", "logit_scale"};
    if (config_.outputs == 0) names.ignored.emplace_back("text_projection.");
    return names;
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    const std::string tower = kTextTower;
    add_linear(all, tower + "embeddings.token_embedding", config_.width, config_.vocabulary, false);
    add_linear(all, tower + "embeddings.position_embedding", config_.width, config_.positions,
               false);
    blocks_.add_tensors(all);
    add_norm(all, tower + "final_layer_norm", config_.width, NormKind::kLayer);
    if (config_.outputs > 0)
      add_linear(all, kTextProjection, config_.width, config_.outputs, false);
    sort_by_name(all);
    return all;
  }

  at::Tensor hidden(const StateDict& weights, const EncoderBatch& batch) const override {
    const CountedTokens counted(batch.mask);
    const std::string tower = kTextTower;
    const at::Tensor ids = batch.ids;
    const at::Tensor mask =
        batch.mask.defined() ? batch.mask.to(ids.device()) : at::ones_like(ids).to(at::kBool);
    const at::Tensor positions = ((mask.cumsum(1) - 1) * mask).clamp_min(0);
    if (const int64_t longest = mask.sum(1).max().item<int64_t>(); longest > max_tokens())
      user_error("a text of {} tokens is longer than the model's {}", longest, max_tokens());
    at::Tensor x =
        embedding(weights, tower + "embeddings.token_embedding", ids, "token id") +
        embedding(weights, tower + "embeddings.position_embedding", positions, "position");
    Visibility visibility{positions, positions, {}};
    if (batch.mask.defined()) visibility.mask = mask.unsqueeze(1).expand({-1, ids.size(1), -1});
    x = blocks_.forward(weights, x, causal_mask(visibility, 0));
    return normalize(weights, tower + "final_layer_norm", x, NormKind::kLayer,
                     config_.norm_epsilon);
  }

  at::Tensor embed(const StateDict& weights, const EncoderBatch& batch) const override {
    const at::Tensor states = hidden(weights, batch);
    const at::Tensor ends = end_of_text(batch).to(states.device());
    const at::Tensor rows = at::arange(states.size(0), ends.options());
    const at::Tensor features = states.index({rows, ends});
    return config_.outputs > 0 ? linear(weights, kTextProjection, features) : features;
  }

  at::Tensor classify(const StateDict&, const EncoderBatch&) const override {
    user_error("the text tower of CLIP has no head for classification");
  }

 private:
  /// int64 [rows]: the first EOS of every text. OpenAI's checkpoints say that EOS is 2, which is
  /// another token; theirs is the highest id of a text.
  at::Tensor end_of_text(const EncoderBatch& batch) const {
    at::Tensor score = config_.eos == 2 ? batch.ids : (batch.ids == config_.eos).to(at::kLong);
    if (batch.mask.defined()) score = score.masked_fill(batch.mask.logical_not(), -1);
    return score.argmax(1);
  }

  ClipTextConfig config_;
  PreNormBlocks blocks_;
  Json json_;
};

struct ClipTextFamily {
  static constexpr std::string_view name = "clip_text_model";
  static constexpr std::string_view summary = "the text tower of CLIP";
  static constexpr std::string_view paper = "Radford et al., arXiv:2103.00020";
  static constexpr std::string_view example =
      R"({"vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
      "intermediate_size": 12, "max_position_embeddings": 16, "eos_token_id": 2,
      "projection_dim": 6, "architectures": ["CLIPTextModelWithProjection"]})";
  static ClipTextConfig read(ConfigFields& config) {
    ClipTextConfig c;
    static_cast<PreNormConfig&>(c) =
        read_clip_blocks(config, kTextTower, {.width = 512, .heads = 8, .inner = 2048});
    c.vocabulary = config.size("vocab_size", 49408);
    c.positions = config.size("max_position_embeddings", 77);
    c.initializer_range = config.positive("initializer_range", 0.02);
    c.eos = config.count("eos_token_id", 49407);
    const int64_t projected = config.size("projection_dim", 512);
    if (clip_projects(config)) c.outputs = projected;
    return c;
  }
};

ASSAY_FAMILY(ClipTextFamily, ClipText)

}  // namespace
}  // namespace assay
