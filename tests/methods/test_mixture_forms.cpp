// The forms of mixtures other than Mixtral's.
#include <cmath>

#include "harness/core/error.h"
#include "harness/model/language.h"
#include "tests/catch.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

at::Tensor form_logits(const Json& config, const StateDict& weights) {
  const auto model = make_architecture(JsonReader(config, "test"));
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});
  return model->logits(load_weights(*model, *source("model", weights), at::kCPU), ids);
}

/// Models of one of the families, whose biases are as random as all else.
MergeInputs models_of_type(const std::string& type, size_t experts) {
  Json config = small_llama_config();
  config["model_type"] = type;
  if (type == "qwen3") config["head_dim"] = 4;
  if (type == "mistral") config["sliding_window"] = nullptr;
  return small_models(experts, config);
}

std::string reason_of(const MergeInputs& inputs, const Json& parameters) {
  try {
    merge("moe", parameters, inputs);
  } catch (const SkipCell& skipped) {
    return skipped.what();
  }
  return "not skipped";
}

const std::string kSecondMlp = "model.layers.1.mlp.";

}  // namespace

TEST_CASE("a mixture of equal experts is the expert, in every form", "[methods][moe]") {
  struct Case {
    const char *type, *form, *shared;
  };
  for (const auto& [type, form, shared] :
       {Case{"qwen3", "auto", "none"}, Case{"llama", "deepseek", "none"},
        Case{"mistral", "deepseek", "none"}, Case{"llama", "mixtral", "none"}}) {
    CAPTURE(type, form);
    MergeInputs inputs = models_of_type(type, 3);
    inputs.experts.assign(3, inputs.experts.front());
    const at::Tensor wanted = form_logits(inputs.config, small_model(1, inputs.config));
    MergeReport report;
    const StateDict mixture =
        merge("moe", {{"form", form}, {"shared_expert", shared}}, inputs, &report);
    const double range = (wanted.max() - wanted.min()).item<double>();
    CHECK(distance(form_logits(*report.config, mixture), wanted) <= 1e-5 * range);
  }
}

TEST_CASE("experts and a shared expert add up to the dense model", "[methods][moe]") {
  // Twice the feed-forward is that of a down-projection twice as large; half of it with the gate 0.
  for (const auto& [type, share] : {std::pair("llama", 1.0), std::pair("qwen2", 0.5)}) {
    CAPTURE(type);
    MergeInputs inputs = models_of_type(type, 3);
    inputs.experts.assign(3, inputs.experts.front());
    StateDict dense = small_model(1, inputs.config);
    for (auto& [name, tensor] : dense)
      if (name.ends_with("down_proj.weight")) tensor = tensor * (1 + share);
    const at::Tensor wanted = form_logits(inputs.config, dense);
    MergeReport report;
    const StateDict mixture =
        merge("moe", {{"shared_expert", "last"}, {"shared_gate", "zero"}}, inputs, &report);
    CHECK(report.config->at("model_type") ==
          (std::string(type) == "llama" ? "deepseek" : "qwen2_moe"));
    const double range = (wanted.max() - wanted.min()).item<double>();
    CHECK(distance(form_logits(*report.config, mixture), wanted) <= 1e-5 * range);
  }
}

TEST_CASE("Qwen 2's form has the names, biases and config that mergekit-moe writes",
          "[methods][moe]") {
  const MergeInputs inputs = models_of_type("llama", 3);
  MergeReport report;
  const StateDict mixture = merge(
      "moe", {{"form", "qwen2_moe"}, {"shared_expert", "last"}, {"rest", "base"}}, inputs, &report);

  CHECK(at::equal(mixture.at(kSecondMlp + "experts.1.gate_proj.weight"),
                  inputs.experts[1]->read(kSecondMlp + "gate_proj.weight")));
  CHECK(at::equal(mixture.at(kSecondMlp + "shared_expert.down_proj.weight"),
                  inputs.experts[2]->read(kSecondMlp + "down_proj.weight")));
  CHECK(mixture.count(kSecondMlp + "experts.2.gate_proj.weight") == 0);
  CHECK(mixture.at(kSecondMlp + "gate.weight").sizes() == at::IntArrayRef({2, 8}));
  CHECK(mixture.at(kSecondMlp + "shared_expert_gate.weight").sizes() == at::IntArrayRef({1, 8}));
  CHECK(mixture.at(kSecondMlp + "shared_expert_gate.weight").abs().sum().item<double>() > 0);
  for (const auto& [part, size] : {std::pair("q", 8), std::pair("k", 4), std::pair("v", 4)})
    CHECK(at::equal(mixture.at(fmt::format("model.layers.0.self_attn.{}_proj.bias", part)),
                    at::zeros({size})));
  CHECK(report.config->at("architectures") == Json{"Qwen2MoeForCausalLM"});
  CHECK(report.config->at("num_experts") == 2);
  CHECK(report.config->at("norm_topk_prob") == true);
  CHECK(report.config->at("shared_expert_intermediate_size") == 12);
  CHECK(form_logits(*report.config, mixture).isfinite().all().item<bool>());

  // Of models that have biases they are the rest's.
  const MergeInputs biased = models_of_type("qwen2", 2);
  const StateDict own = merge("moe", {{"shared_expert", "base"}, {"rest", "base"}}, biased);
  const std::string bias = "model.layers.0.self_attn.q_proj.bias";
  CHECK(at::equal(own.at(bias), biased.base->read(bias)));
  CHECK(at::equal(own.at(kSecondMlp + "shared_expert.up_proj.weight"),
                  biased.base->read(kSecondMlp + "up_proj.weight")));
}

TEST_CASE("planned values have the dtype of the merge", "[methods][moe]") {
  MergeInputs inputs = models_of_type("llama", 3);
  inputs.dtype = at::kBFloat16;
  const StateDict mixture = merge(
      "moe", {{"form", "qwen2_moe"}, {"shared_expert", "last"}, {"shared_gate", "zero"}}, inputs);
  for (const auto& [name, tensor] : mixture) {
    CAPTURE(name);
    CHECK(tensor.scalar_type() == at::kBFloat16);
  }
}

TEST_CASE("noise and residual scales are per expert, as mergekit-moe's", "[methods][moe]") {
  const MergeInputs inputs = models_of_type("llama", 3);
  const Json parameters = {
      {"shared_expert", "last"}, {"noise_scales", {0, 0.5, 0}}, {"residual_scales", {2, 1, -1}}};
  const StateDict mixture = merge("moe", parameters, inputs);
  const auto difference = [&](const std::string& made, size_t expert, const std::string& part,
                              double scale = 1) {
    return mixture.at(kSecondMlp + made) - scale * inputs.experts[expert]->read(kSecondMlp + part);
  };
  const auto largest = [](const at::Tensor& x) { return x.abs().max().item<double>(); };
  CHECK(largest(difference("experts.0.down_proj.weight", 0, "down_proj.weight", 2)) == 0);
  CHECK(largest(difference("experts.0.up_proj.weight", 0, "up_proj.weight")) == 0);
  CHECK(largest(difference("shared_experts.down_proj.weight", 2, "down_proj.weight", -1)) == 0);
  const at::Tensor noise =
      at::cat({difference("experts.1.up_proj.weight", 1, "up_proj.weight"),
               difference("experts.1.gate_proj.weight", 1, "gate_proj.weight")})
          .flatten();
  CHECK(std::abs(noise.mean().item<double>()) <= 4 * 0.5 / std::sqrt(192));
  CHECK(noise.std().item<double>() == Approx(0.5).epsilon(0.2));
  CHECK(make_method("moe", JsonReader(parameters, "test"))->randomized());
  CHECK_FALSE(
      make_method("moe",
                  JsonReader(Json{{"router", "cheap_embed"}, {"residual_scales", {2, 1}}}, "test"))
          ->randomized());
}

TEST_CASE("models that do not fit a form are skipped, with the reason", "[methods][moe]") {
  const MergeInputs llama = models_of_type("llama", 2), qwen2 = models_of_type("qwen2", 2),
                    qwen3 = models_of_type("qwen3", 2);
  CHECK_THAT(reason_of(qwen2, Json::object()), Contains("qwen2_moe needs an expert"));
  CHECK_THAT(reason_of(qwen3, {{"shared_expert", "base"}}), Contains("qwen3_moe has no expert"));
  CHECK_THAT(reason_of(qwen3, {{"form", "mixtral"}}), Contains("llama, mistral, found 'qwen3'"));
  CHECK_THAT(reason_of(llama, {{"shared_expert", "last"}}), Contains("to 2 experts"));
  MergeInputs mistral = models_of_type("mistral", 2);
  mistral.config["sliding_window"] = 2;
  CHECK_THAT(reason_of(mistral, {{"form", "deepseek"}}), Contains("'sliding_window'"));
  CHECK_THAT(reason_of(mistral, Json::object()), Contains("not skipped"));
  mistral.config["sliding_window"] = nullptr;
  MergeReport report;
  merge("moe", {{"form", "deepseek"}}, mistral, &report);
  CHECK_FALSE(report.config->contains("sliding_window"));  // its classes do not know the field
  MergeInputs biased = llama;
  biased.config["attention_bias"] = true;
  CHECK_THAT(reason_of(biased, {{"form", "qwen2_moe"}, {"shared_expert", "base"}}),
             Contains("'attention_bias'"));
  CHECK_THROWS_WITH(
      make_method("moe", JsonReader(Json{{"form", "mixtral"}, {"shared_expert", "base"}}, "test")),
      Contains("the form mixtral has no expert"));
}
