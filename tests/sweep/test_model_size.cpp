#include "harness/sweep/internal/model_size.h"

#include <ATen/ATen.h>

#include <set>
#include <string>

#include "methods/moe/sparse_low_rank.h"
#include "tests/catch.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;

namespace {

ModelSize size_of(const Json& config, const StateDict& weights) {
  const auto architecture = make_architecture(JsonReader(config, "test"));
  ForwardProfiles profiles;
  return model_size(*architecture, *source("model", weights), profiles);
}

}  // namespace

TEST_CASE("the size of a dense model is that of its tensors", "[sweep]") {
  StateDict weights = small_model(1);
  int64_t values = 0;
  for (const auto& [unused, tensor] : weights) values += tensor.numel();
  // Of these, the table of embeddings and the norms multiply nothing.
  const int64_t flops = 2 * (values - 16 * 8 - 5 * 8);
  CHECK(flops == 2 * (2 * (192 + 3 * 96) + 128));  // attention and feed-forward of two blocks, head
  CHECK(size_of(small_llama_config(), weights) == ModelSize{values, values, 4 * values, flops});
  for (auto& [unused, tensor] : weights) tensor = tensor.to(at::kBFloat16);
  CHECK(size_of(small_llama_config(), weights).bytes == 2 * values);
}

TEST_CASE("equal experts of a mixture count once, and a token's experts are active", "[sweep]") {
  constexpr int64_t kExpert = 3 * 8 * 12, kBlocks = 2, kExperts = 6, kPerToken = 2;
  StateDict weights = small_model(1, small_mixtral_config());
  int64_t values = 0;
  for (const auto& [unused, tensor] : weights) values += tensor.numel();
  const int64_t active = values - kBlocks * (kExperts - kPerToken) * kExpert;
  // Of each block: q and o 8 x 8, k and v 8 x 4, the router 6 x 8, two experts; and the head.
  constexpr int64_t kFlops = 2 * (kBlocks * (2 * 64 + 2 * 32 + 48 + kPerToken * kExpert) + 16 * 8);
  CHECK(size_of(small_mixtral_config(), weights) == ModelSize{values, active, 4 * values, kFlops});

  // Three experts of the first block are one, which every token is still multiplied by.
  for (const char* part : {"w1", "w2", "w3"})
    for (const int64_t i : {3, 5}) {
      const std::string experts = "model.layers.0.block_sparse_moe.experts.";
      weights[fmt::format("{}{}.{}.weight", experts, i, part)] =
          weights.at(fmt::format("{}0.{}.weight", experts, part)).clone();
    }
  const int64_t left = values - 2 * kExpert;
  CHECK(size_of(small_mixtral_config(), weights) == ModelSize{left, active, 4 * left, kFlops});

  // Where all are one, a token is multiplied by one, twice.
  for (int64_t block = 0; block < kBlocks; ++block)
    for (const char* part : {"w1", "w2", "w3"})
      for (int64_t i = 1; i < kExperts; ++i) {
        const std::string experts = fmt::format("model.layers.{}.block_sparse_moe.experts.", block);
        weights[fmt::format("{}{}.{}.weight", experts, i, part)] =
            weights.at(fmt::format("{}0.{}.weight", experts, part)).clone();
      }
  const int64_t one = values - kBlocks * (kExperts - 1) * kExpert;
  CHECK(size_of(small_mixtral_config(), weights) == ModelSize{one, one, 4 * one, kFlops});
}

TEST_CASE("a tied head is not stored and multiplies all the same", "[sweep]") {
  Json config = small_llama_config();
  StateDict weights = small_model(1);
  const int64_t flops = size_of(config, weights).flops.value();
  config["tie_word_embeddings"] = true;
  weights.erase("lm_head.weight");
  CHECK(size_of(config, weights).flops == flops);
}

TEST_CASE("sizes of Switch Transformers are those of M-SMoE's tables", "[sweep]") {
  // arXiv:2310.01334, table 2: 32 experts in every second block of switch-base-32.
  const Json config{{"model_type", "switch_transformers"},
                    {"vocab_size", 32128},
                    {"d_model", 768},
                    {"d_ff", 3072},
                    {"d_kv", 64},
                    {"num_heads", 12},
                    {"num_layers", 12},
                    {"num_decoder_layers", 12},
                    {"num_sparse_encoder_layers", 6},
                    {"num_sparse_decoder_layers", 6},
                    {"num_experts", 32}};
  constexpr int64_t kLayers = 12;
  constexpr double kExpert = 2.0 * 768 * 3072, kMillion = 1e6;
  const auto model = make_architecture(JsonReader(config, "test"));
  std::set<std::string> copies;  // of the embedding, which checkpoints do not store
  for (const auto& [copy, original] : model->checkpoint_names().substituted) copies.insert(copy);
  StateDict weights;  // one value in memory each
  for (const TensorInfo& info : model->tensors())
    if (!copies.contains(info.name))
      weights[info.name] = at::scalar_tensor(0.0f).expand(info.shape);
  ForwardProfiles profiles;
  const ModelSize size = model_size(*model, *source("switch", weights), profiles);

  // All experts of a layer are equal here, and count as one.
  const double dense = static_cast<double>(size.parameters) - kLayers * kExpert;
  CHECK(size.active == size.parameters);
  CHECK(static_cast<double>(size.flops.value()) > 2 * (dense - 32128.0 * 768));
  // The paper's table rounds 733 million, of which 120 experts leave 166.8.
  CHECK(dense / kMillion == Approx(166.8).margin(0.5));
  CHECK((dense + 120 * kExpert) / kMillion == Approx(733).epsilon(1e-3));
  const auto rank = static_cast<double>(rank_of(3072, 768, 5.0 / 96));
  const double compressed = 2 * rank * (768 + 3072) + 0.1 * kExpert;
  CHECK((dense + 32 * kExpert + 88 * compressed) / kMillion == Approx(380.9).epsilon(1e-3));
  CHECK((dense + 32 * kExpert + 352 * compressed) / kMillion == Approx(570.4).epsilon(1e-3));
}
