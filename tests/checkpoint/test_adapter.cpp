#include "harness/checkpoint/internal/adapter.h"

#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/internal/low_rank.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kLayer = "base_model.model.model.layers.0.mlp.down_proj";
constexpr const char* kWeight = "model.layers.0.mlp.down_proj.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

/// A base of one layer, [2, 3], and an embedding, [4, 2]; and an adapter for it.
class Adapted {
 public:
  explicit Adapted(const Json& config = Json::object(), at::ScalarType dtype = at::kFloat) {
    CheckpointExtras extras;
    extras.config = config;
    write_checkpoint(folder_.path() / "base",
                     {{kWeight, at::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}).view({2, 3}).to(dtype)},
                      {kEmbedding, at::ones({4, 2}, dtype)}},
                     extras, false);
  }
  void adapter(const StateDict& tensors, const Json& config = {}) const {
    Json all = {{"peft_type", "LORA"}, {"r", 1}, {"lora_alpha", 2}};
    if (config.is_object()) all.update(config);
    fs::create_directories(path("lora"));
    write_file(path("lora/adapter_config.json"), all.dump());
    write_safetensors(path("lora/adapter_model.safetensors"), tensors);
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  std::shared_ptr<const Checkpoint> open() const {
    return Checkpoint::open(ModelPath(path("base"), path("lora")));
  }
  std::string error() const {
    try {
      open();
    } catch (const std::exception& e) {
      return e.what();
    }
    return "accepted";
  }

 private:
  TemporaryFolder folder_;
};

// B A = [[1, 0, 2], [3, 0, 6]].
StateDict factors() {
  return {{std::string(kLayer) + ".lora_A.weight", at::tensor({1.f, 0.f, 2.f}).view({1, 3})},
          {std::string(kLayer) + ".lora_B.weight", at::tensor({1.f, 3.f}).view({2, 1})}};
}

std::vector<float> values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).flatten().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

}  // namespace

TEST_CASE("an adapted tensor is W + alpha / r * B A, the others are the base's", "[checkpoint]") {
  const Adapted model;
  model.adapter(factors());
  const auto adapted = model.open();

  CHECK(values(adapted->read(kWeight)) == std::vector<float>{3, 2, 7, 10, 5, 18});
  CHECK(values(adapted->read_part(kWeight, 2, 2)) == std::vector<float>{7, 10});
  CHECK(values(adapted->read(kEmbedding)) == std::vector<float>(8, 1));
  CHECK(adapted->label() == model.path("base").string() + "+" + model.path("lora").string());
  CHECK(adapted->path() == model.path("base"));
}

TEST_CASE("patterns set rank and alpha of layers, rslora divides by the root", "[checkpoint]") {
  const Adapted model;
  StateDict two = factors();  // the same product by rank 4, three of it zero
  two[std::string(kLayer) + ".lora_A.weight"] =
      at::cat({two.at(std::string(kLayer) + ".lora_A.weight"), at::ones({3, 3})});
  two[std::string(kLayer) + ".lora_B.weight"] =
      at::cat({two.at(std::string(kLayer) + ".lora_B.weight"), at::zeros({2, 3})}, 1);
  const auto first = [&](const Json& more) {
    model.adapter(two, more);
    return model.open()->read(kWeight)[0][0].item<float>() - 1;
  };

  CHECK(first({{"r", 4}}) == 0.5f);
  CHECK(first({{"r", 4}, {"use_rslora", true}}) == 1);
  CHECK(first({{"rank_pattern", {{"down_proj", 4}}}}) == 0.5f);
  CHECK(first({{"r", 4}, {"alpha_pattern", {{"layers\\.0\\.mlp\\..*", 12}}}}) == 3);
  CHECK(first({{"r", 4}, {"alpha_pattern", {{"layers.1.mlp.down_proj", 12}}}}) == 0.5f);
}

TEST_CASE("the sum is rounded once to the base's dtype", "[checkpoint]") {
  const Adapted model(Json::object(), at::kBFloat16);
  StateDict small = factors();
  for (auto& [name, tensor] : small) tensor = tensor / 16;  // updates of 2 / 256 and more
  model.adapter(small);
  const auto adapted = model.open();

  CHECK(adapted->read(kWeight).scalar_type() == at::kBFloat16);
  const at::Tensor before = at::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}).view({2, 3});
  const at::Tensor update = at::tensor({1.f, 0.f, 2.f, 3.f, 0.f, 6.f}).view({2, 3}) / 128;
  CHECK(values(adapted->read(kWeight)) == values((before + update).to(at::kBFloat16)));
}

TEST_CASE("square weights are transposed where layers are Conv1D, embeddings always",
          "[checkpoint]") {
  const TemporaryFolder folder;
  const std::string a = "base_model.model.transformer.h.0.c.lora_A.weight",
                    b = "base_model.model.transformer.h.0.c.lora_B.weight";
  fs::create_directories(folder.path() / "x");
  write_file(folder.path() / "x/adapter_config.json",
             R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
  write_safetensors(
      folder.path() / "x/adapter_model.safetensors",
      {{a, at::tensor({1.f, 2.f}).view({1, 2})}, {b, at::tensor({1.f, 10.f}).view({2, 1})}});
  const auto product = [&](const std::string& type) {
    CheckpointExtras extras;
    extras.config = {{"model_type", type}};
    write_checkpoint(folder.path() / type, {{"h.0.c.weight", at::zeros({2, 2})}}, extras, false);
    return values(Checkpoint::open(ModelPath(folder.path() / type, folder.path() / "x"))
                      ->read("h.0.c.weight"));
  };

  CHECK(product("llama") == std::vector<float>{1, 2, 10, 20});
  CHECK(product("gpt2") == std::vector<float>{1, 10, 2, 20});

  const Adapted model(Json{{"tie_word_embeddings", false}});
  const std::string embedding = "base_model.model.model.embed_tokens.lora_embedding_";
  model.adapter({{embedding + "A", at::tensor({1.f, 2.f, 3.f, 4.f}).view({1, 4})},
                 {embedding + "B", at::tensor({1.f, 0.f}).view({2, 1})}});
  CHECK(values(model.open()->read(kEmbedding)) == std::vector<float>{3, 1, 5, 1, 7, 1, 9, 1});
}

TEST_CASE("full tensors that an adapter saved replace the base's", "[checkpoint]") {
  const Adapted model(Json{{"tie_word_embeddings", false}});
  model.adapter({{"base_model.model.model.embed_tokens.weight", at::full({4, 2}, 7.f)}},
                {{"modules_to_save", {"embed_tokens"}}});
  CHECK(values(model.open()->read(kEmbedding)) == std::vector<float>(8, 7));
  CHECK(values(model.open()->read_part(kEmbedding, 3, 2)) == std::vector<float>(2, 7));
}

TEST_CASE("stamp and hash of an adapted model change with either folder", "[checkpoint]") {
  const Adapted model;
  model.adapter(factors());
  const auto base = Checkpoint::open(model.path("base"));
  const std::string stamp = model.open()->stamp(), hash = model.open()->content_hash();

  CHECK(stamp != base->stamp());
  CHECK(hash != base->content_hash());
  model.adapter(factors(), {{"lora_alpha", 3}});
  CHECK(model.open()->stamp() != stamp);
  CHECK(model.open()->content_hash() != hash);
  StateDict none = factors();
  for (auto& [name, tensor] : none) tensor.zero_();
  model.adapter(none);
  CHECK(model.open()->content_hash() == base->content_hash());
}

TEST_CASE("adapters that are not plain LoRA, or do not fit, are rejected by name", "[checkpoint]") {
  const Adapted model(Json{{"tie_word_embeddings", true}});
  const auto refusal = [&](const Json& config, const StateDict& tensors = factors()) {
    model.adapter(tensors, config);
    return model.error();
  };

  CHECK_THAT(refusal({{"use_dora", true}}), Contains("use_dora"));
  CHECK_THAT(refusal({{"peft_type", "IA3"}}), Contains("peft_type IA3"));
  CHECK_THAT(refusal({{"bias", "all"}}), Contains("bias"));
  CHECK_THAT(refusal({{"init_lora_weights", "pissa"}}), Contains("init_lora_weights"));
  CHECK_THAT(refusal({{"new_variant", 3}}), Contains("new_variant"));
  CHECK(refusal({{"new_variant", nullptr}, {"init_lora_weights", "gaussian"}}) == "accepted");
  CHECK_THAT(refusal({{"rank_pattern", {{"(", 3}}}}), Contains("not a regular expression"));
  CHECK_THAT(refusal({{"rank_pattern", {{"(.*.*.*.*.*.*)*m\\d", 3}}}}), Contains("limit exceeded"));
  CHECK_THAT(refusal({{"alpha_pattern", {{"down_proj", 3}, {".*proj", 4}}}}),
             Contains("two patterns"));
  CHECK_THAT(refusal({{"r", 2}}), Contains("has rank 1") && Contains("says 2"));
  CHECK_THAT(refusal({{"target_modules", {"q_proj"}}}), Contains("target_modules"));
  CHECK(refusal({{"target_modules", ".*\\.(up|down)_proj"}}) == "accepted");
  CHECK(refusal({{"target_modules", {"down_proj"}}}) == "accepted");

  StateDict other = factors();
  other[std::string(kLayer) + ".lora_B.weight"] = at::ones({5, 1});
  CHECK_THAT(refusal({}, other), Contains("[5, 3]") && Contains("[2, 3]"));
  other.erase(std::string(kLayer) + ".lora_B.weight");
  CHECK_THAT(refusal({}, other), Contains("lora_B.weight' is missing"));
  CHECK_THAT(refusal({}, {{"base_model.model.model.layers.7.x.lora_A.weight", at::ones({1, 3})}}),
             Contains("layers.7.x") && Contains("matches no tensor of"));
  CHECK_THAT(refusal({}, {{"base_model.model.model.embed_tokens.weight", at::ones({4, 2})}}),
             Contains("ties embedding and head"));
}

TEST_CASE("embedding and head of a tied model are not adapted separately", "[checkpoint]") {
  const auto adapted = [](const Json& config, const std::string& embedding) {
    const TemporaryFolder folder;
    CheckpointExtras extras;
    extras.config = config;
    write_checkpoint(folder.path() / "base", {{embedding + ".weight", at::ones({4, 2})}}, extras,
                     false);
    write_file(folder.path() / "lora/adapter_config.json", R"({"peft_type": "LORA", "r": 1})");
    write_safetensors(folder.path() / "lora/adapter_model.safetensors",
                      {{fmt::format("base_model.model.{}.weight", embedding), at::zeros({4, 2})}});
    try {
      Checkpoint::open(ModelPath(folder.path() / "base", folder.path() / "lora"));
    } catch (const UserError& e) {
      CHECK_THAT(e.what(), Contains("ties embedding and head"));
      return false;
    }
    return true;
  };
  const std::string embedding = "model.embed_tokens";
  const Json tied = {{"tie_word_embeddings", true}}, untied = {{"tie_word_embeddings", false}};
  CHECK_FALSE(adapted(tied, embedding));
  CHECK_FALSE(adapted({{"llm_config", tied}}, embedding));
  CHECK_FALSE(adapted({{"model_type", "gemma2"}}, embedding));
  CHECK_FALSE(adapted({{"model_type", "bert"}}, "bert.embeddings.word_embeddings"));
  CHECK(adapted({{"language_config", untied}}, embedding));
  CHECK(adapted({{"model_type", "llama"}}, embedding));  // its default
  CHECK(adapted(tied, "model.position_embeddings"));
}

TEST_CASE("no element of a product depends on the range it is computed in", "[checkpoint]") {
  const at::Tensor left = at::arange(7 * 6, at::kFloat).view({7, 6}).sin(),
                   right = at::arange(6 * 11, at::kFloat).view({6, 11}).cos();
  const std::vector<float> whole = values(low_rank_part(left, right, 0.3, 0, 77));

  CHECK(at::allclose(low_rank_part(left, right, 0.3, 0, 77).view({7, 11}), 0.3 * left.mm(right)));
  for (int64_t first = 0; first < 77; ++first)
    for (const int64_t count : {int64_t{1}, int64_t{9}, 77 - first}) {
      if (first + count > 77) continue;
      CHECK(values(low_rank_part(left, right, 0.3, first, count)) ==
            std::vector<float>(whole.begin() + first, whole.begin() + first + count));
    }
}
