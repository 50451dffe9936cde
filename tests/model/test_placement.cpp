#include "harness/model/placement.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include <set>

#include "harness/core/error.h"
#include "tests/model/language_models.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

using Plan = std::vector<size_t>;
const at::Device kFirst(at::kCUDA, 0), kSecond(at::kCUDA, 1), kHost(at::kCPU);

/// Six blocks, with rotary positions that depend on the length, windows and a soft cap.
Json config_of(const std::string& family) {
  Json config = example_config(family);
  config["num_hidden_layers"] = 6;
  if (family == "llama") config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2.0}};
  config["head_dim"] = 4;
  config["max_position_embeddings"] = 8;
  return config;
}

std::shared_ptr<const LanguageArchitecture> stack(const std::string& family) {
  return language(config_of(family));
}

int64_t bytes_of(const Architecture& model) {
  int64_t bytes = 0;
  for (const TensorInfo& info : model.tensors()) bytes += info.bytes();
  return bytes;
}

}  // namespace

TEST_CASE("blocks are divided among devices by their memory budgets", "[model]") {
  const std::vector<int64_t> six(6, 10);

  CHECK(plan_blocks(0, six, {{kFirst, 1000}}) == Plan{0, 0, 0, 0, 0, 0});
  CHECK(plan_blocks(0, six, {{kFirst, 100}, {kSecond, 100}}) == Plan{0, 0, 0, 1, 1, 1});
  // Embeddings and head, on the first, are as large as two blocks: 40 and 40.
  CHECK(plan_blocks(20, six, {{kFirst, 100}, {kSecond, 100}}) == Plan{0, 0, 1, 1, 1, 1});
  // Shares 20/40 and 40/80.
  CHECK(plan_blocks(0, six, {{kFirst, 40}, {kSecond, 80}}) == Plan{0, 0, 1, 1, 1, 1});
  // The second budget is smaller than one block.
  CHECK(plan_blocks(0, six, {{kFirst, 60}, {kSecond, 9}}) == Plan{0, 0, 0, 0, 0, 0});
  // Blocks of different sizes: 30 + 10 against 10 + 10 + 10.
  CHECK(plan_blocks(0, {30, 10, 10, 10, 10}, {{kFirst, 100}, {kSecond, 100}}) ==
        Plan{0, 0, 1, 1, 1});
}

TEST_CASE("the CPU holds what fits on no other device", "[model]") {
  const std::vector<int64_t> six(6, 10);

  CHECK(plan_blocks(5, six, {{kFirst, 65}, {kHost, 1000}}) == Plan{0, 0, 0, 0, 0, 0});
  CHECK(plan_blocks(5, six, {{kFirst, 64}, {kHost, 1000}}) == Plan{0, 0, 0, 0, 0, 1});
  CHECK(plan_blocks(5, six, {{kFirst, 20}, {kHost, 1000}, {kSecond, 25}}) ==
        Plan{0, 1, 1, 1, 2, 2});
  CHECK(plan_blocks(5, six, {{kHost, 5}, {kFirst, 60}}) == Plan{1, 1, 1, 1, 1, 1});
}

TEST_CASE("budgets that are too small are refused with the sizes", "[model]") {
  CHECK_THROWS_WITH(plan_blocks(1'000'000'000, {2'000'000'000, 2'000'000'000},
                                {{kFirst, 2'500'000'000}, {kSecond, 1'500'000'000}}),
                    Contains("1.00 GB of embeddings and head") && Contains("2 blocks of 4.00 GB") &&
                        Contains("cuda:0 2.50 GB, cuda:1 1.50 GB"));
  // The sum of the budgets suffices, but not for three whole blocks.
  CHECK_THROWS_AS(plan_blocks(0, {10, 10, 10}, {{kFirst, 19}, {kSecond, 19}}), UserError);
}

TEST_CASE("only stacks of blocks are split over devices", "[model]") {
  const auto bert = make_architecture(JsonReader(example_config("bert"), "$"));
  CHECK_NOTHROW(check_devices(*stack("llama"), {kFirst, kSecond}));
  CHECK_NOTHROW(check_devices(*bert, {kFirst}));
  CHECK_THROWS_AS(check_devices(*bert, {kFirst, kHost}), UserError);
  CHECK_THROWS_WITH(check_devices(*bert, {kFirst, kHost}), Contains("bert needs one device"));
}

TEST_CASE("every tensor is on the device of its block, or on the first device", "[model]") {
  const auto model = stack("llama");
  const int64_t half = bytes_of(*model) * 6 / 10;

  const DeviceMap places = place_weights(*model, at::kFloat, {{kFirst, half}, {kSecond, half}});

  CHECK(places.size() == model->tensors().size());
  CHECK(places.at("model.embed_tokens.weight") == kFirst);
  CHECK(places.at("lm_head.weight") == kFirst);
  CHECK(places.at("model.norm.weight") == kFirst);
  CHECK(places.at("model.layers.0.mlp.up_proj.weight") == kFirst);
  CHECK(places.at("model.layers.5.mlp.up_proj.weight") == kSecond);
  CHECK(places.at("model.layers.5.input_layernorm.weight") == kSecond);
  // Half precision needs half the bytes.
  CHECK_NOTHROW(place_weights(*model, at::kBFloat16, {{kFirst, half}}));
  CHECK_THROWS_AS(place_weights(*model, at::kFloat, {{kFirst, half}}), UserError);
}

TEST_CASE("the tensors of all decoders' blocks are theirs alone", "[model]") {
  for (const char* family :
       {"llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt_neox", "mixtral",
        "qwen2_moe", "qwen3_moe", "olmoe", "deepseek"}) {
    INFO(family);
    const auto model = language(example_config(family));
    std::set<std::string> names, in_blocks;
    for (const TensorInfo& info : model->tensors()) names.insert(info.name);
    for (const auto& block : model->blocks())
      for (const std::string& name : block) {
        CHECK(names.contains(name));
        CHECK(in_blocks.insert(name).second);
      }
    for (const std::string& name : names)
      CHECK(in_blocks.contains(name) ==
            (name.find("layers.") != std::string::npos || name.find(".h.") != std::string::npos));
  }
}

TEST_CASE("a plan for one device gives what that device gives", "[model]") {
  const auto model = stack("llama");
  const StateDict weights = model->initial_weights(5);
  const MemorySource source("weights", weights);
  const StateDict placed =
      load_weights(*model, source, place_weights(*model, at::kFloat, {{kHost, 1 << 20}}));
  const StateDict plain = load_placed(*model, source, {kHost}, at::kFloat);
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5}).unsqueeze(0);

  CHECK(placed.size() == plain.size());
  CHECK(at::equal(model->logits(placed, ids), model->logits(weights, ids)));
  CHECK(at::equal(model->logits(plain, ids), model->logits(weights, ids)));
}

TEST_CASE("encoders and encoder-decoders need one device", "[model]") {
  for (const char* family : {"t5", "bert"}) {
    const Json config = example_config(family);
    const auto model = make_architecture(JsonReader(config, "config.json"));
    CHECK_NOTHROW(check_devices(*model, {kFirst}));
    CHECK_THROWS_WITH(check_devices(*model, {kFirst, kHost}),
                      Contains(family) && Contains("one device"));
  }
}

TEST_CASE("a model split over devices gives the CPU's logits", "[model][gpu]") {
  testing::skip_without_gpu();
  const at::Device second = at::detail::getCUDAHooks().deviceCount() > 1 ? kSecond : kHost;
  for (const std::string family : {"llama", "gemma2", "phi3"}) {
    INFO(family);
    const auto model = stack(family);
    StateDict weights = model->initial_weights(5);
    for (auto& [name, tensor] : weights) tensor.mul_(10);
    const MemorySource source("weights", weights);
    const int64_t half = bytes_of(*model) * 6 / 10;
    const StateDict split = load_weights(
        *model, source, place_weights(*model, at::kFloat, {{kFirst, half}, {second, half}}));
    REQUIRE(split.at(model->blocks().front().front()).device() == kFirst);
    REQUIRE(split.at(model->blocks().back().front()).device() == second);
    const std::vector<TokenIds> prompts{{3, 1, 4, 1, 5}, {2, 7}};

    const TokenBatch batch = padded_batch(prompts, Padding::kLeft);
    const at::Tensor expected = model->logits(weights, batch.ids);
    const at::Tensor found = model->logits(split, batch.ids);

    CHECK(found.device() == kFirst);
    const double range = (expected.max() - expected.min()).item<double>();
    CHECK((found.cpu() - expected).abs().max().item<double>() <= 1e-4 * range);
    for (const bool cached : {true, false}) {
      GenerateOptions how;
      how.max_new_tokens = 6;
      how.use_cache = cached;
      CHECK(generate(*model, split, prompts, how) == generate(*model, weights, prompts, how));
    }
  }
}
