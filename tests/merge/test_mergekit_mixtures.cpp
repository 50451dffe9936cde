// mergekit-moe's configurations.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/merge_folder.h"
#include "harness/merge/mergekit/moe.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

constexpr const char* kTwoExperts = R"(base_model: base
gate_mode: cheap_embed
dtype: float32
experts:
  - source_model: a
    positive_prompts: ["one", "two"]
    negative_prompts: ["three"]
  - {source_model: b, positive_prompts: ["four"], residual_scale: 0.5}
)";

std::string moe_error(const std::string& text, const std::string& type = "llama") {
  try {
    mergekit_moe_parameters(parse_mergekit_moe(text, "m.yaml"), type);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no UserError";
}

std::string two_experts_with(const std::string& what, const std::string& with) {
  std::string text = kTwoExperts;
  const size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

}  // namespace

TEST_CASE("a configuration of mergekit-moe becomes parameters of moe", "[mergekit][moe]") {
  CHECK(is_mergekit_moe(kTwoExperts, "m.yaml"));
  CHECK_FALSE(is_mergekit_moe("merge_method: linear\nmodels: []\n", "m.yaml"));
  const MergekitMoe config = parse_mergekit_moe(kTwoExperts, "m.yaml");
  CHECK(config.base_model.model == "base");
  CHECK(config.experts.at(0).prompts == ExpertPrompts{{"one", "two"}, {"three"}});
  CHECK(config.experts.at(1).model.line == 8);
  CHECK(mergekit_moe_parameters(config, "mistral") ==
        Json{{"rest", "base"},
             {"router", {{"router", "cheap_embed"}, {"negatives", "given"}}},
             {"top_k", 2},
             {"form", "mixtral"},
             {"residual_scales", {1, 0.5}}});

  const auto router = [](const std::string& mode) {
    return mergekit_moe_parameters(
               parse_mergekit_moe(two_experts_with("cheap_embed", mode), "m.yaml"), "llama")
        .at("router");
  };
  CHECK(router("random") == "random");
  CHECK(router("uniform_random") == "uniform_random");
  CHECK(router("hidden").at("tokens") == "last");
  CHECK(router("hidden_last") == router("hidden"));
  CHECK(router("hidden_avg").at("tokens") == "all");
  CHECK(router("~") == router("hidden"));
}

TEST_CASE("the form follows the models, the shared expert and the architecture",
          "[mergekit][moe]") {
  const std::string plain = kTwoExperts;
  const std::string ungated = plain + "shared_experts: [{source_model: c}]\n";
  const std::string gated =
      plain + "shared_experts: [{source_model: c, positive_prompts: [five]}]\n";
  const auto form = [](const std::string& text, const std::string& type) -> std::string {
    return mergekit_moe_parameters(parse_mergekit_moe(text, "m.yaml"), type).at("form");
  };
  CHECK(form(plain, "llama") == "mixtral");
  CHECK(form(plain + "architecture: deepseek\n", "llama") == "deepseek");
  CHECK(form(ungated, "llama") == "deepseek");
  CHECK(form(gated, "llama") == "qwen2_moe");
  CHECK(form(gated, "qwen2") == "qwen2_moe");
  CHECK(form(plain, "qwen3") == "qwen3_moe");
  CHECK(form(plain + "architecture: qwen\n", "qwen3") == "qwen3_moe");

  CHECK_THAT(moe_error(plain, "qwen2"), Contains("Qwen MoE needs one of 'shared_experts'"));
  CHECK_THAT(moe_error(ungated, "qwen2"), Contains("'positive_prompts' of its shared expert"));
  CHECK_THAT(moe_error(gated, "qwen3"), Contains("Qwen3 MoE has no 'shared_experts'"));
  CHECK_THAT(moe_error(plain, "gpt2"), Contains("Mixtral is not made of") && Contains("'gpt2'"));
  CHECK_THAT(moe_error(plain + "architecture: olmoe\n"), Contains("begins with 'olmoe'"));
}

TEST_CASE("what mergekit-moe refuses is refused, with the line", "[mergekit][moe]") {
  const auto with = [](const std::string& what, const std::string& instead) {
    return moe_error(two_experts_with(what, instead));
  };
  CHECK_THAT(with("gate_mode: cheap", "gate_mod: cheap"),
             StartsWith("m.yaml:2: ") && Contains("'gate_mode'?"));
  CHECK_THAT(with("cheap_embed", "cheap_embedd"),
             StartsWith("m.yaml:2: ") && Contains("'cheap_embed'?"));
  CHECK_THAT(with("dtype: float32", "experts_per_token: 3"),
             StartsWith("m.yaml:5: ") && Contains("2 experts") && Contains("sent to 3"));
  CHECK_THAT(with("dtype: float32", "experts_per_token: 0"),
             StartsWith("m.yaml:3: ") && Contains("from 1 to 1024"));
  CHECK_THAT(with("[\"four\"]", "[]"), StartsWith("m.yaml:8: ") && Contains("'positive_prompts'"));
  CHECK_THAT(with("[\"one\", \"two\"]\n    negative_prompts: [\"three\"]", "[\"four\"]"),
             Contains("prompts of all experts are the same"));
  CHECK_THAT(with("source_model: b", "source_model: a"), Contains("all experts are one model"));
  CHECK_THAT(with("residual_scale: 0.5", "residual_scale: big"),
             StartsWith("m.yaml:8: ") && Contains("a finite number"));
  CHECK_THAT(with("residual_scale: 0.5", "noise_scale: -1"), Contains("0 or more"));
  CHECK_THAT(with("base_model: base\n", ""), Contains("'base_model' is missing"));
  CHECK_THAT(moe_error(std::string(kTwoExperts) +
                       "shared_experts: [{source_model: c}, {source_model: d}]\n"),
             Contains("more than one shared expert"));
  // Random gates need neither prompts nor several models.
  CHECK_THAT(moe_error("base_model: a\ngate_mode: random\n"
                       "experts: [{source_model: a}, {source_model: a}]\n"),
             Contains("no UserError"));
}

TEST_CASE("mergekit-moe's experts may differ from the base outside of their feed-forwards",
          "[mergekit][moe]") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, uint64_t key, int64_t vocabulary) {
    Json config = small_llama_config();
    config["vocab_size"] = vocabulary;
    config["torch_dtype"] = "bfloat16";
    write_checkpoint(folder.path() / name, small_model(key, config), {config, Json(), "", {}},
                     false);
  };
  write("base", 0, 16);
  write("a", 1, 16);
  write("b", 2, 16);
  const std::string text =
      "base_model: base\ngate_mode: random\nexperts: [{source_model: a}, {source_model: b}]\n";
  write_file(folder.path() / "m.yaml", text);
  MergeRequest request = MergeRequest::read(folder.path() / "m.yaml", {.seed = 3});
  CHECK(request.experts.size() == 2);
  CHECK(request.configuration.at("mergekit") == text);
  CHECK_FALSE(request.needs_data);
  merge_to_folder(request, {}, folder.path() / "out");
  const auto made = Checkpoint::open(folder.path() / "out");
  // In the dtype that the base's config names.
  for (const TensorInfo& info : made->tensors()) CHECK(info.dtype == at::kBFloat16);
  const auto base = Checkpoint::open(folder.path() / "base");
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  CHECK(at::equal(made->read(query), base->read(query).to(at::kBFloat16)));
}

TEST_CASE("mergekit-moe's experts have the base's feed-forwards in shape", "[mergekit][moe]") {
  const TemporaryFolder folder;
  for (const auto& [name, inner, layers] :
       {std::tuple{"base", 12, 2}, {"a", 12, 2}, {"wide", 10, 2}, {"shallow", 12, 1}}) {
    Json config = small_llama_config();
    config["intermediate_size"] = inner;
    config["num_hidden_layers"] = layers;
    write_checkpoint(folder.path() / name, small_model(1, config), {config, Json(), "", {}}, false);
  }
  const auto read = [&](const std::string& expert) {
    write_file(folder.path() / "m.yaml",
               "base_model: base\ngate_mode: random\nexperts: [{source_model: a}, {source_model: " +
                   expert + "}]\n");
    return MergeRequest::read(folder.path() / "m.yaml", {});
  };
  CHECK_THROWS_WITH(read("wide"), Contains("wide: tensor 'model.layers.0.mlp.") &&
                                      Contains("has shape [") && Contains("10"));
  CHECK_THROWS_WITH(read("shallow"),
                    Contains("shallow: tensor 'model.layers.1.mlp.") && Contains("is missing"));
}
