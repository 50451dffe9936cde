#include "harness/model/layers_of.h"

#include <algorithm>

#include "tests/catch.h"
#include "tests/model/counting_network.h"
#include "tests/model/observed.h"

using namespace assay;
using namespace assay::testing;

namespace {

std::vector<LayerInfo> layers(const Json& config) {
  return layers_of(*make_architecture(JsonReader(config, "config.json: $")));
}

const LayerInfo& layer(const std::vector<LayerInfo>& all, const std::string& weight) {
  const auto it = std::find_if(all.begin(), all.end(),
                               [&](const LayerInfo& info) { return info.weight == weight; });
  REQUIRE(it != all.end());
  return *it;
}

bool has(const std::vector<LayerInfo>& all, const std::string& weight) {
  return std::any_of(all.begin(), all.end(),
                     [&](const LayerInfo& info) { return info.weight == weight; });
}

}  // namespace

TEST_CASE("the layers of GPT-2 are found in their order", "[model][layers_of]") {
  const std::vector<LayerInfo> found = layers(example_config("gpt2"));  // width 8, a tied head

  REQUIRE(found.size() == 4);
  const std::vector<std::pair<std::string, int64_t>> wanted = {
      {"attn.c_attn", 8}, {"attn.c_proj", 8}, {"mlp.c_fc", 8}, {"mlp.c_proj", 32}};
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string name = "transformer.h.0." + wanted[i].first;
    CHECK(found[i].weight == name + ".weight");
    CHECK(found[i].bias == name + ".bias");
    CHECK(found[i].inputs == wanted[i].second);
    CHECK(found[i].in_out);
    CHECK(found[i].block == 0);
    CHECK(found[i].input == found[i].weight);
  }
}

TEST_CASE("layers that read one input say so", "[model][layers_of][pitfall-8]") {
  const std::vector<LayerInfo> llama = layers(example_config("llama"));
  const std::string block = "model.layers.0.";
  for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"})
    CHECK(layer(llama, block + name + ".weight").input == block + "self_attn.q_proj.weight");
  CHECK(layer(llama, block + "mlp.up_proj.weight").input == block + "mlp.gate_proj.weight");
  CHECK(layer(llama, block + "mlp.down_proj.weight").input == block + "mlp.down_proj.weight");

  Json config = example_config("t5");
  config["num_layers"] = 2;
  const std::vector<LayerInfo> t5 = layers(config);
  // Keys and values of all cross-attention read the encoder's states.
  for (const char* name : {"decoder.block.0.layer.1.EncDecAttention.v.weight",
                           "decoder.block.1.layer.1.EncDecAttention.k.weight",
                           "decoder.block.1.layer.1.EncDecAttention.v.weight"})
    CHECK(layer(t5, name).input == "decoder.block.0.layer.1.EncDecAttention.k.weight");
  CHECK(layer(t5, "decoder.block.1.layer.1.EncDecAttention.q.weight").input ==
        "decoder.block.1.layer.1.EncDecAttention.q.weight");
  CHECK(layer(t5, "encoder.block.1.layer.0.SelfAttention.o.weight").block == 1);
  CHECK(layer(t5, "decoder.block.0.layer.0.SelfAttention.o.weight").block == 2);
}

TEST_CASE("a head is a layer unless it is the embedding", "[model][layers_of]") {
  Json config = example_config("llama");
  config["tie_word_embeddings"] = false;
  const std::vector<LayerInfo> untied = layers(config);
  CHECK_FALSE(layer(untied, "lm_head.weight").block.has_value());
  config["tie_word_embeddings"] = true;
  const std::vector<LayerInfo> tied = layers(config);
  CHECK(tied.size() + 1 == untied.size());
  CHECK_FALSE(has(tied, "model.embed_tokens.weight"));
}

TEST_CASE("convolutions have the values of a patch as inputs", "[model][layers_of]") {
  const std::vector<LayerInfo> cnn =
      layers({{"model_type", "small_cnn"}, {"channels", 4}, {"hidden", 6}, {"classes", 3}});

  REQUIRE(cnn.size() == 4);
  CHECK(cnn[1].weight == "conv2.weight");
  CHECK(cnn[1].bias == "conv2.bias");
  CHECK(cnn[1].kind == LayerKind::kConvolution);
  CHECK(cnn[1].inputs == 4 * 9);
  CHECK(cnn[0].positions == 28 * 28);
  CHECK(cnn[1].positions == 14 * 14);
  CHECK(cnn[2].positions == 1);
  CHECK(cnn[2].kind == LayerKind::kLinear);
  CHECK(cnn[2].inputs == 8 * 49);
  CHECK_FALSE(cnn[2].block.has_value());
}

TEST_CASE("the layers found are those that run", "[model][layers_of]") {
  for (const std::string& name : architectures().names()) {
    if (name == "assay_routed") continue;  // it reads prompts, see test_routed.cpp
    INFO(name);
    const auto model = example_architecture(name);
    GramObserver observer;
    row_logits(*model, model->initial_weights(1), small_batch(*model));
    const std::vector<LayerInfo> found = layers_of(*model);
    const auto blocks = block_of_tensors(*model);

    for (const LayerInfo& info : found) {
      INFO(info.weight);
      // No token of the batch is sent to this expert.
      if (observer.grams.count(info.weight) == 0 &&
          info.weight.find(".experts.") != std::string::npos)
        continue;
      CHECK(observer.grams.at(info.weight).sum.size(0) == info.inputs);
      CHECK(at::equal(observer.grams.at(info.weight).sum, observer.grams.at(info.input).sum));
      if (info.block) CHECK(blocks.at(info.weight) == info.block);
    }
    for (const auto& [weight, unused] : observer.grams)
      CHECK((has(found, weight) || weight.find("embed") != std::string::npos ||
             weight == "transformer.wte.weight"));
  }
}

TEST_CASE("the layers of a large model are found without its weights", "[model][layers_of]") {
  const std::vector<LayerInfo> found = layers({{"model_type", "llama"},
                                               {"vocab_size", 128256},
                                               {"hidden_size", 8192},
                                               {"intermediate_size", 28672},
                                               {"num_hidden_layers", 80},
                                               {"num_attention_heads", 64},
                                               {"num_key_value_heads", 8},
                                               {"rms_norm_eps", 1e-5}});

  CHECK(found.size() == 7 * 80 + 1);
  CHECK(layer(found, "model.layers.79.mlp.down_proj.weight").inputs == 28672);
  CHECK(layer(found, "model.layers.79.mlp.down_proj.weight").block == 79);
}

TEST_CASE("layers have the names that a checkpoint stores", "[model][layers_of]") {
  const auto stored_layers = [](const std::string& name, const auto& stored_name) {
    const auto model = example_architecture(name);
    std::vector<TensorInfo> stored = model->tensors();
    for (TensorInfo& info : stored) info.name = stored_name(info.name);
    std::erase_if(stored, [](const TensorInfo& info) { return info.name.empty(); });
    ForwardProfiles profiles;
    return layers_of(*model, stored, profiles);
  };

  const auto gpt2 = stored_layers("gpt2", [](const std::string& name) {
    return name.substr(std::string_view("transformer.").size());
  });
  CHECK(gpt2.size() == 4);
  CHECK(gpt2[0].weight == "h.0.attn.c_attn.weight");
  CHECK(gpt2[0].bias == "h.0.attn.c_attn.bias");
  CHECK(gpt2[0].input == "h.0.attn.c_attn.weight");

  const auto t5 = stored_layers(
      "t5", [](const std::string& name) { return name == "lm_head.weight" ? "" : name; });
  CHECK_FALSE(has(t5, "lm_head.weight"));
  CHECK(has(layers(example_config("t5")), "lm_head.weight"));
}

TEST_CASE("models of one config share one pass without weights", "[model][layers_of]") {
  int passes = 0;
  ForwardProfiles profiles, others;
  const ForwardProfile& profile = profiles.of(CountingNetwork(2, passes));
  CHECK(&profiles.of(CountingNetwork(2, passes)) == &profile);
  CHECK(passes == 1);
  CHECK(&profiles.of(CountingNetwork(3, passes)) != &profile);
  CHECK(passes == 2);
  others.of(CountingNetwork(2, passes));
  CHECK(passes == 3);
}

TEST_CASE("one pass shows layers and what they multiply", "[model][layers_of]") {
  const auto model = example_architecture("gpt2");  // width 8, a tied head
  const ForwardProfile profile = forward_profile(*model);
  const std::vector<LayerInfo> found = layers_of(*model);
  REQUIRE(profile.layers.size() == found.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(profile.layers[i].weight == found[i].weight);
  CHECK(profile.flops.at("transformer.h.0.attn.c_attn.weight") == 2 * 8 * 24);
  CHECK(profile.flops.contains("transformer.wte.weight"));  // no layer, but it multiplies
}
