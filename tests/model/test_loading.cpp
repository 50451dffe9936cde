#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/process.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::string refusal(Json config, const Json& change) {
  config.update(change);
  try {
    language(config);
  } catch (const UserError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("LoRA adapters are added on load", "[model][language]") {
  for (const std::string family : {"llama", "gpt2"}) {
    INFO(family);
    const fs::path adapter = kGoldens / (family + "-lora");
    check_against(open_language_model({kGoldens / family, adapter}, {}), adapter);
  }
}

TEST_CASE("variants of published checkpoints load as one model", "[model][language]") {
  Json config = example_config("llama");
  config["tie_word_embeddings"] = true;
  const auto llama = language(config);
  const StateDict plain = llama->initial_weights(3);
  const auto load = [&](const StateDict& tensors) {
    return load_weights(*llama, MemorySource("candidate", tensors), at::kCPU);
  };

  CHECK(load(plain).size() == plain.size());
  StateDict bare, extra = plain;
  for (const auto& [name, tensor] : plain) bare[name.substr(6)] = tensor;  // without "model."
  CHECK(at::equal(load(bare).at("model.norm.weight"), plain.at("model.norm.weight")));
  extra["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({2});
  extra["lm_head.weight"] = plain.at("model.embed_tokens.weight").clone();
  CHECK(load(extra).size() == plain.size());

  extra["lm_head.weight"] = plain.at("model.embed_tokens.weight") + 1;
  CHECK_THROWS_WITH(load(extra), Contains("'lm_head.weight' differs from"));
  extra = plain;
  extra["model.layers.0.extra.weight"] = at::ones({2});
  CHECK_THROWS_WITH(load(extra), Contains("llama has no tensor 'model.layers.0.extra.weight'"));
  extra = plain;
  extra["norm.weight"] = plain.at("model.norm.weight");
  CHECK_THROWS_WITH(load(extra), Contains("'model.norm.weight'") && Contains("'norm.weight'"));
}

TEST_CASE("weights keep the file's memory where the dtype is the file's", "[model][language]") {
  const auto checkpoint = Checkpoint::open(kGoldens / "llama");
  const Json config = checkpoint->config();
  const auto llama = language(config);
  const std::string name = "model.norm.weight";

  const StateDict same = load_weights(*llama, *checkpoint, at::kCPU, at::kFloat);
  const StateDict bf16 = load_weights(*llama, *checkpoint, at::kCPU, at::kBFloat16);

  CHECK(same.at(name).data_ptr() == checkpoint->read(name).data_ptr());
  CHECK(bf16.at(name).scalar_type() == at::kBFloat16);
  OpenOptions options;
  options.dtype = at::kBFloat16;
  const LanguageModel model = open_language_model(kGoldens / "llama", options);
  const at::Tensor exact =
      last_logits(open_language_model(kGoldens / "llama", {}), {3, 1, 4}).to(at::kDouble);
  const at::Tensor rough = last_logits(model, {3, 1, 4}).to(at::kDouble);
  CHECK((rough - exact).abs().max().item<double>() <
        0.05 * (exact.max() - exact.min()).item<double>());
}

TEST_CASE("a config.json says what is wrong with it", "[model][language]") {
  const Json llama = example_config("llama");
  CHECK(refusal(llama, {{"hidden_size", nullptr}}) ==
        "config.json: $: the key 'hidden_size' is missing");
  CHECK_THAT(refusal(llama, {{"hidden_size", "8"}}), Contains("$.hidden_size"));
  CHECK_THAT(refusal(llama, {{"hidden_size", 0}}), Contains("1 or more"));
  CHECK_THAT(refusal(llama, {{"hidden_size", 9}}), Contains("no multiple"));
  CHECK_THAT(refusal(llama, {{"num_attention_heads", 4}, {"num_key_value_heads", 3}}),
             Contains("cannot share"));
  CHECK_THAT(refusal(llama, {{"hidden_act", "sillu"}}), Contains("Did you mean 'silu'?"));
  CHECK_THAT(refusal(llama, {{"quantization_config", {{"bits", 4}}}}),
             Contains("quantization_config"));
  CHECK_THAT(refusal(example_config("gemma2"), {{"layer_types", {"full_attention"}}}),
             Contains("each of 2 layers"));
  CHECK_THAT(refusal(example_config("qwen2"), {{"layer_types", {"linear_attention"}}}),
             Contains("full_attention or sliding_attention"));
  CHECK_THAT(refusal(example_config("gemma2"), {{"final_logit_softcapping", 0}}),
             Contains("$.final_logit_softcapping") && Contains("above 0"));
  CHECK_THAT(refusal(llama, {{"model_type", "lama"}}), Contains("Did you mean 'llama'?"));
}

TEST_CASE("end-of-text ids are part of the computation hash", "[model]") {
  const TemporaryFolder folder;
  const auto hash = [&] {
    const auto tokenizer = Tokenizer::open(folder.path());
    return computation_hash(*language(example_config("llama")), tokenizer.get());
  };
  const std::string before = hash();
  write_file(folder.path() / "generation_config.json", R"({"eos_token_id":[3]})");
  CHECK(hash() != before);
}

TEST_CASE("layers that the file does not hold are refused before they are made", "[model]") {
  CHECK_THAT(refusal(example_config("llama"), {{"num_hidden_layers", 1'000'000'000}}),
             Contains("$.num_hidden_layers") && Contains("1 to 65536 layers"));
  CHECK_THAT(refusal(example_config("t5"), {{"num_decoder_layers", 1'000'000}}),
             Contains("$.num_decoder_layers"));
  const TemporaryFolder folder;
  const StateDict weights = language(example_config("llama"))->initial_weights(1);
  for (const int64_t layers : {int64_t{60'000}, int64_t{1} << 40}) {
    Json config = example_config("llama");
    config["num_hidden_layers"] = layers;
    write_checkpoint(folder.path() / "m", weights, {config, Json(), "", {}}, true);
    CHECK_THROWS_AS(open_model(folder.path() / "m", {}), DataError);
    CHECK_THROWS_WITH(open_model(folder.path() / "m", {}),
                      Contains("not in the file") && Contains(std::to_string(layers)));
  }
}

TEST_CASE("fields that would change what is computed are refused unless they are neutral",
          "[model][language]") {
  const auto config = example_config;
  const auto check = [&](const char* family, const Json& change, const Json& neutral) {
    const std::string field = change.begin().key();
    INFO(family << " " << change.dump());
    CHECK_THAT(refusal(config(family), change), Contains("$." + field));
    CHECK(refusal(config(family), neutral) == "accepted");
    CHECK(refusal(config(family), {{field, nullptr}}) == "accepted");
  };
  check("mistral", {{"attention_bias", true}}, {{"attention_bias", false}});
  check("phi3", {{"attention_bias", true}}, {{"attention_bias", false}});
  check("llama", {{"attention_chunk_size", 8}}, {{"attention_chunk_size", nullptr}});
  check("llama", {{"layer_types", {"sliding_attention"}}}, {{"layer_types", {"full_attention"}}});
  check("mistral", {{"layer_types", {"linear_attention"}}}, Json::object());
  check("llama", {{"pruned_heads", {{"0", {1}}}}}, {{"pruned_heads", Json::object()}});
  check("llama", {{"quantization", {{"bits", 4}}}}, Json::object());
  check("llama", {{"compression_config", {{"format", "packed"}}}}, Json::object());
  check("llama", {{"use_mrope", true}}, {{"use_mrope", false}});
  check("llama", {{"rope_interleaved", true}}, {{"rope_interleaved", false}});
  check("llama", {{"final_logit_softcapping", 30.0}}, Json::object());
  check("llama", {{"embedding_multiplier", 12.0}}, {{"embedding_multiplier", 1.0}});
  check("llama", {{"num_local_experts", 8}}, {{"num_local_experts", 0}});
  check("llama", {{"add_cross_attention", true}}, {{"add_cross_attention", false}});
  check("llama", {{"use_parallel_residual", true}}, {{"use_parallel_residual", false}});
  check("gpt_neox", {{"scale_attn_weights", false}}, {{"scale_attn_weights", true}});
  check("qwen2", {{"use_qk_norm", true}}, {{"use_qk_norm", false}});
  check("t5", {{"tie_encoder_decoder", true}}, {{"tie_encoder_decoder", false}});
  check("bert", {{"pruned_heads", {{"0", {1}}}}}, {{"pruned_heads", Json::object()}});
  // Requested by the family itself.
  CHECK(refusal(config("gemma2"), {{"final_logit_softcapping", 20.0}}) == "accepted");
  CHECK(refusal(config("gpt2"), {{"scale_attn_by_inverse_layer_idx", true}}) == "accepted");
  CHECK(refusal(config("gpt_neox"), {{"use_parallel_residual", false}}) == "accepted");
  CHECK(refusal(config("llama"), {{"mlp_bias", true}}) == "accepted");
}

TEST_CASE("known fields without effect cause no warning, unknown ones do", "[model][language]") {
  const TemporaryFolder folder;
  const auto said = [&](const Json& change) {
    Json config = example_config("llama");
    config.update(change);
    write_checkpoint(folder.path() / "m", language(example_config("llama"))->initial_weights(1),
                     {config, Json(), "", {}}, true);
    const ProcessResult result = run_process({ASSAY_PROGRAM, "generate", folder.path() / "m",
                                              "--ids", "1", "--tokens", "1", "--device", "cpu"});
    CHECK(result.exit_code == 0);
    return result.output;
  };
  CHECK_THAT(said({{"is_llama_config", true}, {"cache_implementation", "hybrid"}}),
             !Contains("warning"));
  CHECK_THAT(said({{"flux_capacity", 1}}), Contains("warning") && Contains("flux_capacity"));
}
