#include "harness/model/architectures/qwen_experts.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/model/architectures/llama_like.h"
#include "harness/model/internal/expert_layer.h"
#include "harness/model/internal/expert_storage.h"

namespace assay {
namespace {

std::unique_ptr<FeedForward> gated(const FeedForwardShape& shape, const std::string& name) {
  return gated_feed_forward(shape, name + ".gate_proj", name + ".up_proj", name + ".down_proj");
}

/// The experts of a block whose feed-forward is called `name`.
std::unique_ptr<FeedForward> routed_experts(const ExpertLayerShape& layer,
                                            const FeedForwardShape& expert,
                                            const ExpertStorage& storage, const std::string& name) {
  std::vector<std::unique_ptr<FeedForward>> experts;
  for (int64_t i = 0; i < layer.own(); ++i) {
    const std::string own = fmt::format("{}.experts.{}.", name, i);
    experts.push_back(storage.gated(expert, own + "gate_proj", own + "up_proj", own + "down_proj"));
  }
  return expert_layer(layer, name + ".gate", std::move(experts));
}

}  // namespace

FeedForwardMaker read_qwen_experts(ConfigFields& config, int64_t width, int64_t blocks,
                                   bool shared) {
  const FeedForwardShape dense = read_feed_forward(config, width, "hidden_act", "silu");
  FeedForwardShape expert = dense, shared_expert = dense;
  expert.inner = config.size("moe_intermediate_size", dense.inner);
  if (shared) shared_expert.inner = config.size("shared_expert_intermediate_size");
  ExpertLayerShape layer;
  layer.width = width;
  layer.normalized = config.flag("norm_topk_prob", false);
  // transformers 5 writes the second name for some of the families.
  const bool renamed = config.find("num_local_experts").has_value();
  layer.experts = config.layers(renamed ? "num_local_experts" : "num_experts");
  layer.per_token = config.size("num_experts_per_tok");
  if (layer.per_token > layer.experts)
    user_error("{}: {} 'num_experts_per_tok' are more than {} experts", config.where(),
               layer.per_token, layer.experts);
  const ExpertStorage storage(config, layer.experts, blocks);
  const int64_t step = config.size("decoder_sparse_step", 1);
  std::vector<int64_t> dense_blocks;
  if (const auto listed = config.find("mlp_only_layers"))
    for (const JsonReader& block : listed->elements()) dense_blocks.push_back(block.as_integer());
  config.ignore({"output_router_logits", "router_aux_loss_coef"});

  return [=](int64_t block, const std::string& prefix) -> std::unique_ptr<FeedForward> {
    const std::string name = prefix + "mlp";
    const bool listed = std::count(dense_blocks.begin(), dense_blocks.end(), block) > 0;
    if (listed || (block + 1) % step != 0) return gated(dense, name);
    ExpertLayerShape own = layer;
    own.stored = storage.stored(block);
    auto routed = routed_experts(own, expert, storage, name);
    if (!shared) return routed;
    return with_shared_expert(width, std::move(routed), name + ".shared_expert_gate",
                              gated(shared_expert, name + ".shared_expert"));
  };
}

}  // namespace assay
