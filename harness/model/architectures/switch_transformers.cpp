/// Switch Transformers: T5 1.0 with many feed-forwards in some of the blocks, of which every token
/// is sent to one. Its output is multiplied by the router's probability. An expert takes so many
/// tokens of a text at most ('expert_capacity'); those that come later pass the block unchanged. As
/// in transformers, a forward pass counts the tokens that it is given: with a cache, the decoder's
/// one by one.
#include "harness/core/error.h"
#include "harness/model/architectures/t5_like.h"
#include "harness/model/internal/expert_layer.h"
#include "harness/model/internal/expert_storage.h"

namespace assay {
namespace {

/// Which blocks of a stack have experts: so many of them, every so often from the second on.
struct SparseBlocks {
  int64_t step;

  SparseBlocks(int64_t blocks, int64_t sparse) : step(sparse > 0 ? blocks / sparse : blocks) {}
  bool operator()(int64_t block) const { return step == 1 || (step > 0 && block % step == 1); }
};

struct SwitchTransformers {
  static constexpr std::string_view name = "switch_transformers";
  static constexpr std::string_view summary = "T5 with experts, one of them for each token";
  static constexpr std::string_view paper = "Fedus et al., arXiv:2101.03961";
  static constexpr std::string_view example = R"({"vocab_size": 16, "d_model": 8, "d_ff": 12,
      "num_heads": 2, "d_kv": 4, "num_layers": 2, "num_sparse_encoder_layers": 1,
      "num_decoder_layers": 2, "num_sparse_decoder_layers": 1, "num_experts": 3})";

  static T5Config read(ConfigFields& config) {
    T5Config c = read_t5_like(config, true);
    FeedForwardShape shape;
    shape.width = c.width;
    shape.inner = config.size("d_ff");
    shape.activation =
        activation(config.text("dense_act_fn", "relu"), config.where() + ".dense_act_fn");
    ExpertLayerShape layer;
    layer.width = c.width;
    layer.experts = config.layers("num_experts", 8);
    layer.per_token = 1;
    layer.normalized = false;
    layer.capacity = config.size("expert_capacity", 64);
    layer.router_bias = config.flag("router_bias", false);
    const ExpertStorage storage(config, layer.experts, c.encoder_layers + c.decoder_layers);
    const int64_t encoder_layers = c.encoder_layers;
    const SparseBlocks encoder(c.encoder_layers, config.count("num_sparse_encoder_layers", 3));
    const SparseBlocks decoder(c.decoder_layers, config.count("num_sparse_decoder_layers", 3));
    // What follows from these, what only training uses, and what transformers does not look at.
    config.ignore({"add_router_probs", "decoder_sparse_step", "encoder_sparse_step",
                   "feed_forward_proj", "is_gated_act", "router_aux_loss_coef", "router_dtype",
                   "router_ignore_padding_tokens", "router_jitter_noise", "router_type",
                   "router_z_loss_coef"});
    c.feed_forward = [=](bool of_decoder, int64_t block,
                         const std::string& start) -> std::unique_ptr<FeedForward> {
      const std::string own = start + "mlp.";
      if (!(of_decoder ? decoder : encoder)(block))
        return plain_feed_forward(shape, own + "wi", own + "wo");
      ExpertLayerShape here = layer;
      here.stored = storage.stored(of_decoder ? encoder_layers + block : block);
      std::vector<std::unique_ptr<FeedForward>> experts;
      for (int64_t i = 0; i < here.own(); ++i) {
        const std::string expert = fmt::format("{}experts.expert_{}.", own, i);
        experts.push_back(storage.plain(shape, expert + "wi", expert + "wo"));
      }
      return expert_layer(here, own + "router.classifier", std::move(experts));
    };
    return c;
  }
};

ASSAY_FAMILY(SwitchTransformers, T5)

}  // namespace
}  // namespace assay
