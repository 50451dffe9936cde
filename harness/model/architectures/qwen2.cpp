/// Qwen 2 and 2.5: Llama's architecture with biases on query, key and value.
#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

struct Qwen2 {
  static constexpr std::string_view name = "qwen2";
  static constexpr std::string_view summary =
      "Llama's architecture with biased queries, keys and values";
  static constexpr std::string_view paper = "Yang et al., arXiv:2407.10671";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    c.qkv_bias = true;
    config.ignore({"attention_bias"});  // the model class does not read it
    c.windows = read_optional_windows(config, c.layers);
    return c;
  }
};

ASSAY_DECODER(Qwen2)

}  // namespace
}  // namespace assay
