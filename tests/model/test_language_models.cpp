#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "harness/core/error.h"
#include "tests/model/language_models.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("tiny models give the reference's logits and tokens", "[model][language]") {
  for (const std::string family :
       {"llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt_neox", "mixtral",
        "qwen2_moe", "qwen3_moe", "olmoe", "deepseek"}) {
    INFO(family);
    const LanguageModel model = open_language_model(kGoldens / family, {});
    check_against(model, kGoldens / family);
  }
}

TEST_CASE("token ids and positions outside the model's range are refused", "[model][language]") {
  const LanguageModel model = small_llama();
  const auto gpt2 = language(example_config("gpt2"));  // 16 positions
  const StateDict weights = gpt2->initial_weights(1);

  CHECK_THROWS_WITH(model.architecture->logits(model.weights, at::full({1, 1}, 16, at::kLong)),
                    "token id 16 is outside the model's [0, 16)");
  CHECK_THROWS_AS(model.architecture->logits(model.weights, at::full({1, 1}, -1, at::kLong)),
                  UserError);
  CHECK_THROWS_WITH(gpt2->logits(weights, at::zeros({1, 17}, at::kLong)),
                    "position 16 is outside the model's [0, 16)");
  CHECK_THROWS_WITH(generate(*model.architecture, model.weights, {{1}, {}}, {}),
                    Contains("without tokens"));
}

TEST_CASE("a text in parts gives the hidden states of the whole text", "[model][language]") {
  const LanguageModel model = small_llama();
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).view({1, 6});
  const at::Tensor whole = model.architecture->hidden(model.weights, {ids}, nullptr);
  KvCache cache;

  const at::Tensor first = model.architecture->hidden(model.weights, {ids.narrow(1, 0, 2)}, &cache);
  CHECK(cache.tokens() == 2);
  KvCache prefix = cache;
  const at::Tensor rest = model.architecture->hidden(model.weights, {ids.narrow(1, 2, 4)}, &cache);

  CHECK(at::allclose(at::cat({first, rest}, 1), whole, 1e-5, 1e-5));
  CHECK(cache.tokens() == 6);
  CHECK(prefix.tokens() == 2);  // a copy is not grown with the original
  cache.truncate(2);
  CHECK(at::allclose(model.architecture->hidden(model.weights, {ids.narrow(1, 2, 4)}, &cache), rest,
                     1e-5, 1e-5));
}

TEST_CASE("a KV cache whose rotary angles are no longer valid is refused", "[model][language]") {
  const LanguageModel phi3 = open_language_model(kGoldens / "phi3", {});  // changes after 8 tokens
  const at::Tensor ids = at::ones({1, 8}, at::kLong), next = at::ones({1, 1}, at::kLong);
  KvCache cache;
  phi3.architecture->hidden(phi3.weights, {ids}, &cache);

  CHECK(phi3.architecture->can_extend(7, 8));
  CHECK_FALSE(phi3.architecture->can_extend(8, 9));
  CHECK_THROWS_WITH(phi3.architecture->hidden(phi3.weights, {next}, &cache),
                    Contains("grows from 8 to 9 tokens"));
}

TEST_CASE("several continuations of one prefix fit in one row", "[model][language]") {
  // 7 8 | 9, and 7 8 | 2 3, as 7 8 9 2 3: the second continuation attends to the prefix and itself.
  const LanguageModel model = small_llama();
  const auto row = [](const std::vector<int64_t>& values) {
    return at::tensor(values).unsqueeze(0);
  };
  TokenBatch batch{row({7, 8, 9, 2, 3}), row({0, 1, 2, 2, 3})};
  batch.mask = at::ones({1, 5, 5}, at::kBool);
  batch.mask.narrow(1, 3, 2).narrow(2, 2, 1).fill_(false);

  const at::Tensor packed = model.architecture->hidden(model.weights, batch, nullptr);
  const at::Tensor alone = model.architecture->hidden(model.weights, {row({7, 8, 2, 3})}, nullptr);

  CHECK(at::allclose(packed.narrow(1, 3, 2), alone.narrow(1, 2, 2), 1e-5, 1e-5));
}

TEST_CASE("generation stops at stop ids and stop conditions", "[model][language]") {
  const LanguageModel model = small_llama();
  GenerateOptions options;
  options.max_new_tokens = 8;
  const std::vector<TokenIds> prompts = {{1, 2, 3}, {4}};
  const auto all = generate(*model.architecture, model.weights, prompts, options);
  REQUIRE(all[0].size() == 8);

  GenerateOptions stopping = options;
  stopping.stop_ids = {all[0][2]};
  const auto stopped = generate(*model.architecture, model.weights, prompts, stopping);
  const auto first = std::find(all[0].begin(), all[0].end(), all[0][2]);
  CHECK(stopped[0] == TokenIds(all[0].begin(), first + 1));

  stopping = options;
  stopping.stop = [](size_t row, const TokenIds& generated) {
    return row == 1 && generated.size() == 3;
  };
  const auto stopped_by_condition = generate(*model.architecture, model.weights, prompts, stopping);
  CHECK(stopped_by_condition[0] == all[0]);
  CHECK(stopped_by_condition[1] == TokenIds(all[1].begin(), all[1].begin() + 3));
}

TEST_CASE("a common prefix of prompts is not computed again", "[model][language]") {
  const LanguageModel model = small_llama();
  const std::vector<TokenIds> prompts = {{1, 2, 3, 4}, {1, 2, 5}, {1, 2, 5, 6, 7}};
  GenerateOptions options;
  options.max_new_tokens = 6;
  const auto expected = generate(*model.architecture, model.weights, prompts, options);
  KvCache prefix;
  model.architecture->hidden(model.weights, {at::tensor({1, 2}, at::kLong).unsqueeze(0)}, &prefix);
  options.prefix = &prefix;
  for (const Padding padding : {Padding::kLeft, Padding::kRight}) {
    options.padding = padding;
    CHECK(generate(*model.architecture, model.weights, prompts, options) == expected);
    CHECK(generate(*model.architecture, model.weights, {prompts[0]}, options)[0] == expected[0]);
  }
  CHECK(prefix.tokens() == 2);
}

TEST_CASE("a model trained on stories generates the known one", "[model][language][optional]") {
  const fs::path folder = testing::test_data("stories260K");
  // llama2.c's file: 7 int32, then float32 weights kind by kind, each for all layers.
  const std::string bytes = read_file(folder / "stories260K.bin");
  int32_t header[7];
  std::memcpy(header, bytes.data(), sizeof header);
  const int64_t width = header[0], inner = header[1], layers = header[2], heads = header[3];
  const int64_t kv_heads = header[4], words = header[5], size = width / heads;
  const char* cursor = bytes.data() + sizeof header;
  const auto take = [&](const std::vector<int64_t>& shape) {
    at::Tensor tensor = at::empty(shape, at::kFloat);
    std::memcpy(tensor.data_ptr(), cursor, tensor.nbytes());
    cursor += tensor.nbytes();
    return tensor;
  };
  // llama2.c rotates adjacent values of a head, (0, 1), (2, 3), ...; here (i, i + size / 2).
  const auto paired_by_half = [&](const at::Tensor& weight) {
    return weight.view({-1, size / 2, 2, width}).transpose(1, 2).reshape({-1, width});
  };
  StateDict weights;
  weights["model.embed_tokens.weight"] = take({words, width});
  const auto per_layer = [&](const char* name, const std::vector<int64_t>& shape,
                             bool rotated = false) {
    for (int64_t i = 0; i < layers; ++i) {
      const at::Tensor weight = take(shape);
      weights[fmt::format("model.layers.{}.{}.weight", i, name)] =
          rotated ? paired_by_half(weight) : weight;
    }
  };
  per_layer("input_layernorm", {width});
  per_layer("self_attn.q_proj", {width, width}, true);
  per_layer("self_attn.k_proj", {kv_heads * size, width}, true);
  per_layer("self_attn.v_proj", {kv_heads * size, width});
  per_layer("self_attn.o_proj", {width, width});
  per_layer("post_attention_layernorm", {width});
  per_layer("mlp.gate_proj", {inner, width});
  per_layer("mlp.down_proj", {width, inner});
  per_layer("mlp.up_proj", {inner, width});
  weights["model.norm.weight"] = take({width});
  const auto llama = language({{"model_type", "llama"},
                               {"vocab_size", words},
                               {"hidden_size", width},
                               {"intermediate_size", inner},
                               {"num_hidden_layers", layers},
                               {"num_attention_heads", heads},
                               {"num_key_value_heads", kv_heads},
                               {"rms_norm_eps", 1e-5},
                               {"tie_word_embeddings", true}});
  weights = load_weights(*llama, MemorySource("stories260K", weights), at::kCPU);
  GenerateOptions options;
  options.max_new_tokens = 60;

  const TokenIds story = generate(*llama, weights, {{1}}, options).front();

  // tok512.bin: int32 longest, then float32 score, int32 length and the bytes of every piece.
  const std::string pieces = read_file(folder / "tok512.bin");
  std::vector<std::string> piece;
  for (size_t at = 4; at < pieces.size();) {
    int32_t length = 0;
    std::memcpy(&length, pieces.data() + at + 4, 4);
    piece.push_back(pieces.substr(at + 8, static_cast<size_t>(length)));
    at += 8 + static_cast<size_t>(length);
  }
  std::string text;
  for (const TokenId id : story) text += piece.at(static_cast<size_t>(id));
  CHECK_THAT(text, Contains("Once upon a time, there was a little girl named Lily. She loved to "
                            "play outside in the park. One day, she saw a big, red ball."));
}
