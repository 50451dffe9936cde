/// DeepSeek-MoE, the first version: Llama's architecture with many small experts, and others that
/// every token is sent to, as one wider feed-forward without a gate. Of a token's weights the
/// largest are taken as they are, or sum to 1; that of a single expert is always taken as it is.
#include "harness/core/error.h"
#include "harness/model/architectures/llama_like.h"
#include "harness/model/internal/expert_layer.h"
#include "harness/model/internal/expert_storage.h"

namespace assay {
namespace {

std::unique_ptr<FeedForward> llama_feed_forward(const FeedForwardShape& shape,
                                                const std::string& name) {
  return gated_feed_forward(shape, name + ".gate_proj", name + ".up_proj", name + ".down_proj");
}

struct Deepseek {
  static constexpr std::string_view name = "deepseek";
  static constexpr std::string_view summary =
      "Llama's architecture with experts and shared experts without a gate";
  static constexpr std::string_view paper = "Dai et al., arXiv:2401.06066";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "n_routed_experts": 3,
      "num_experts_per_tok": 2, "n_shared_experts": 2, "moe_intermediate_size": 4,
      "first_k_dense_replace": 1, "norm_topk_prob": false})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.qkv_bias = c.attention_output_bias = config.flag("attention_bias", false);
    c.feed_forward = read_experts(config, c.width, c.layers);
    return c;
  }

 private:
  static FeedForwardMaker read_experts(ConfigFields& config, int64_t width, int64_t blocks) {
    const FeedForwardShape dense = read_feed_forward(config, width, "hidden_act", "silu");
    FeedForwardShape expert = dense, shared = dense;
    expert.inner = config.size("moe_intermediate_size", 1407);
    const int64_t shared_experts = config.optional_size("n_shared_experts").value_or(0);
    shared.inner = expert.inner * shared_experts;
    ExpertLayerShape layer;
    layer.width = width;
    layer.experts = config.layers("n_routed_experts");
    layer.per_token = config.size("num_experts_per_tok");
    if (layer.per_token > layer.experts)
      user_error("{}: {} 'num_experts_per_tok' are more than {} 'n_routed_experts'", config.where(),
                 layer.per_token, layer.experts);
    layer.normalized = config.flag("norm_topk_prob", false) && layer.per_token > 1;
    const ExpertStorage storage(config, layer.experts, blocks);
    const int64_t first = config.count("first_k_dense_replace", 0);
    const int64_t step = config.size("moe_layer_freq", 1);
    config.only("scoring_func", "softmax");
    config.ignore({"aux_loss_alpha", "seq_aux"});

    return [=](int64_t block, const std::string& prefix) -> std::unique_ptr<FeedForward> {
      const std::string own = prefix + "mlp";
      if (block < first || block % step != 0) return llama_feed_forward(dense, own);
      ExpertLayerShape here = layer;
      here.stored = storage.stored(block);
      std::vector<std::unique_ptr<FeedForward>> experts;
      for (int64_t i = 0; i < here.own(); ++i) {
        const std::string name = fmt::format("{}.experts.{}.", own, i);
        experts.push_back(
            storage.gated(expert, name + "gate_proj", name + "up_proj", name + "down_proj"));
      }
      auto routed = expert_layer(here, own + ".gate", std::move(experts));
      if (shared_experts == 0) return routed;
      return with_shared_expert(std::move(routed),
                                llama_feed_forward(shared, own + ".shared_experts"));
    };
  }
};

ASSAY_DECODER(Deepseek)

}  // namespace
}  // namespace assay
