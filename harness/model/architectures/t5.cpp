/// T5 1.0 and 1.1, Flan-T5 and mT5.
#include "harness/model/architectures/t5_like.h"

namespace assay {
namespace {

T5Config read_t5(ConfigFields& config, const std::string& default_feed_forward,
                 bool scales_output) {
  T5Config c = read_t5_like(config, scales_output);
  FeedForwardShape shape;
  shape.width = c.width;
  shape.inner = config.size("d_ff");
  std::string kind = config.text("feed_forward_proj", default_feed_forward);
  const bool gated = kind.starts_with("gated-");
  if (gated) kind = kind.substr(6);
  // Configurations older than the name gelu_new mean the tanh approximation.
  if (gated && kind == "gelu") kind = "gelu_new";
  shape.activation = activation(kind, config.where() + ".feed_forward_proj");
  c.feed_forward = [shape, gated](bool, int64_t, const std::string& start) {
    const std::string name = start + "DenseReluDense.";
    return gated ? gated_feed_forward(shape, name + "wi_0", name + "wi_1", name + "wo")
                 : plain_feed_forward(shape, name + "wi", name + "wo");
  };
  config.ignore({"dense_act_fn", "is_gated_act"});
  return c;
}

constexpr std::string_view kT5Example =
    R"({"vocab_size": 16, "d_model": 8, "d_ff": 12, "num_heads": 2,
    "d_kv": 4, "num_layers": 1, "feed_forward_proj": "gated-gelu"})";

struct T5Family {
  static constexpr std::string_view name = "t5";
  static constexpr std::string_view summary = "encoder-decoder with relative position biases";
  static constexpr std::string_view paper = "Raffel et al., arXiv:1910.10683";
  static constexpr std::string_view example = kT5Example;
  static T5Config read(ConfigFields& config) { return read_t5(config, "relu", true); }
};

struct Mt5Family {
  static constexpr std::string_view name = "mt5";
  static constexpr std::string_view summary = "T5 1.1, multilingual";
  static constexpr std::string_view paper = "Xue et al., arXiv:2010.11934";
  static constexpr std::string_view example = kT5Example;
  static T5Config read(ConfigFields& config) { return read_t5(config, "gated-gelu", false); }
};

ASSAY_FAMILY(T5Family, T5)
ASSAY_FAMILY(Mt5Family, T5)

}  // namespace
}  // namespace assay
