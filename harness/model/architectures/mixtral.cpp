/// Mixtral: Mistral's architecture with a mixture of experts in place of every feed-forward. A
/// token's two experts are weighted by the softmax over their logits.
#include "harness/core/error.h"
#include "harness/model/architectures/llama_like.h"
#include "harness/model/internal/expert_layer.h"
#include "harness/model/internal/expert_storage.h"

namespace assay {
namespace {

FeedForwardMaker mixtral_experts(const FeedForwardShape& expert, const ExpertLayerShape& layer,
                                 const ExpertStorage& storage) {
  return [expert, layer, storage](int64_t index, const std::string& block) {
    ExpertLayerShape shape = layer;
    shape.stored = storage.stored(index);
    std::vector<std::unique_ptr<FeedForward>> experts;
    for (int64_t i = 0; i < shape.own(); ++i) {
      const std::string name = fmt::format("{}block_sparse_moe.experts.{}.", block, i);
      experts.push_back(storage.gated(expert, name + "w1", name + "w3", name + "w2"));
    }
    return expert_layer(shape, block + "block_sparse_moe.gate", std::move(experts));
  };
}

struct Mixtral {
  static constexpr std::string_view name = "mixtral";
  static constexpr std::string_view summary =
      "Mistral's architecture with a mixture of experts in every block";
  static constexpr std::string_view paper = "Jiang et al., arXiv:2401.04088";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "num_local_experts": 3,
      "num_experts_per_tok": 2})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.kv_heads = config.size("num_key_value_heads", 8);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {.theta = 1e6, .partial = {}});
    const int64_t window = config.optional_size("sliding_window").value_or(0);
    c.windows.assign(static_cast<size_t>(c.layers), window);
    ExpertLayerShape shape;
    shape.width = c.width;
    shape.experts = config.layers("num_local_experts", 8);
    shape.per_token = config.size("num_experts_per_tok", 2);
    if (shape.per_token > shape.experts)
      user_error("{}: {} 'num_experts_per_tok' are more than {} 'num_local_experts'",
                 config.where(), shape.per_token, shape.experts);
    c.feed_forward = mixtral_experts(read_feed_forward(config, c.width, "hidden_act", "silu"),
                                     shape, ExpertStorage(config, shape.experts, c.layers));
    config.ignore({"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"});
    return c;
  }
};

ASSAY_DECODER(Mixtral)

}  // namespace
}  // namespace assay
