/// Mistral 7B and similar models: Llama's architecture with a sliding window in every layer.
#include "harness/model/architectures/llama_like.h"

namespace assay {
namespace {

struct Mistral {
  static constexpr std::string_view name = "mistral";
  static constexpr std::string_view summary = "Llama's architecture with sliding-window attention";
  static constexpr std::string_view paper = "Jiang et al., arXiv:2310.06825";
  static constexpr std::string_view example = R"({"vocab_size": 16, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "sliding_window": 4})";

  static DecoderConfig read(ConfigFields& config) {
    DecoderConfig c = read_llama_like(config);
    c.rotary = read_rotary(config, c.head_size, c.max_positions, {});
    const int64_t window = config.optional_size("sliding_window", 4096).value_or(0);
    c.windows.assign(static_cast<size_t>(c.layers), window);
    return c;
  }
};

ASSAY_DECODER(Mistral)

}  // namespace
}  // namespace assay
