#include <cmath>

#include "harness/core/error.h"
#include "harness/method/configuration.h"
#include "harness/model/language.h"
#include "tests/catch.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kSparse = "model.layers.1.block_sparse_moe.";
const std::string kDense = "model.layers.1.mlp.";
const std::string kQuery = "model.layers.0.self_attn.q_proj.weight";

at::Tensor logits_of(const Json& config, const StateDict& weights) {
  const auto model = make_architecture(JsonReader(config, "test"));
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});
  return model->logits(load_weights(*model, *source("model", weights), at::kCPU), ids);
}

at::Tensor tensor_of_expert(const MergeInputs& inputs, size_t expert, const std::string& tensor) {
  return inputs.experts.at(expert)->read(tensor);
}

/// The mean of the experts' tensors of this name.
at::Tensor mean_of(const MergeInputs& inputs, const std::string& tensor) {
  at::Tensor sum = at::zeros_like(tensor_of_expert(inputs, 0, tensor));
  for (const auto& expert : inputs.experts) sum += expert->read(tensor);
  return sum / static_cast<double>(inputs.experts.size());
}

Json random_gates(Json parameters) {
  parameters["router"] = "random";
  return parameters;
}

}  // namespace

TEST_CASE("a mixture has the feed-forwards of its experts and the mean of the rest",
          "[methods][moe]") {
  MergeInputs inputs = small_models(3);
  inputs.base = nullptr;
  MergeReport report;
  const StateDict mixture = merge("moe", Json::object(), inputs, &report);

  for (size_t i = 0; i < 3; ++i) {
    const std::string expert = fmt::format("{}experts.{}.", kSparse, i);
    CHECK(at::equal(mixture.at(expert + "w1.weight"),
                    tensor_of_expert(inputs, i, kDense + "gate_proj.weight")));
    CHECK(at::equal(mixture.at(expert + "w2.weight"),
                    tensor_of_expert(inputs, i, kDense + "down_proj.weight")));
    CHECK(at::equal(mixture.at(expert + "w3.weight"),
                    tensor_of_expert(inputs, i, kDense + "up_proj.weight")));
  }
  CHECK(distance(mixture.at(kQuery), mean_of(inputs, kQuery)) <= 1e-6);
  CHECK(mixture.at(kSparse + "gate.weight").sizes() == at::IntArrayRef({3, 8}));
  CHECK(mixture.count(kDense + "gate_proj.weight") == 0);
  CHECK(report.config->at("model_type") == "mixtral");
  CHECK(report.config->at("num_local_experts") == 3);
  CHECK(report.config->at("num_experts_per_tok") == 2);
  CHECK(logits_of(*report.config, mixture).isfinite().all().item<bool>());
}

TEST_CASE("an upcycled mixture is the base, whatever its gates are", "[methods][moe]") {
  const MergeInputs inputs = small_models(3);
  const at::Tensor wanted = logits_of(small_llama_config(), small_model(0));
  MergeReport report;
  const StateDict mixture = merge("moe@upcycled", Json::object(), inputs, &report);
  CHECK(report.config->at("num_local_experts") == 3);
  CHECK(distance(logits_of(*report.config, mixture), wanted) <=
        1e-5 * (wanted.max() - wanted.min()).item<double>());
}

TEST_CASE("a mixture of equal experts is the expert", "[methods][moe]") {
  for (const char* type : {"llama", "mistral"}) {
    Json config = small_llama_config();
    config["model_type"] = type;
    if (config["model_type"] == "mistral") config["sliding_window"] = 2;
    MergeInputs inputs = small_models(3, config);
    inputs.experts.assign(3, inputs.experts.front());
    const at::Tensor wanted = logits_of(config, small_model(1, config));
    for (const int top_k : {1, 3}) {
      CAPTURE(type, top_k);
      MergeReport report;
      const StateDict mixture = merge("moe", {{"top_k", top_k}}, inputs, &report);
      const at::Tensor found = logits_of(*report.config, mixture);
      const double range = (wanted.max() - wanted.min()).item<double>();
      CHECK(distance(found, wanted) <= 1e-5 * range);
    }
  }
}

TEST_CASE("the base may be an expert, and counts in the mean", "[methods][moe]") {
  const MergeInputs inputs = small_models(2);
  const StateDict mixture = merge("moe@btx", Json::object(), inputs);

  CHECK(at::equal(mixture.at(kSparse + "experts.2.w1.weight"),
                  inputs.base->read(kDense + "gate_proj.weight")));
  const at::Tensor mean = (tensor_of_expert(inputs, 0, kQuery) +
                           tensor_of_expert(inputs, 1, kQuery) + inputs.base->read(kQuery)) /
                          3;
  CHECK(distance(mixture.at(kQuery), mean) <= 1e-6);
  CHECK(mixture.at(kSparse + "gate.weight").size(0) == 3);
}

TEST_CASE("the rest may be the base's", "[methods][moe]") {
  const MergeInputs inputs = small_models(2);
  const StateDict mixture = merge("moe@upcycled_base", Json::object(), inputs);

  CHECK(at::equal(mixture.at(kQuery), inputs.base->read(kQuery)));
  CHECK(at::equal(mixture.at(kSparse + "experts.1.w3.weight"),
                  tensor_of_expert(inputs, 1, kDense + "up_proj.weight")));
  MergeInputs without = inputs;
  without.base = nullptr;
  CHECK_THROWS_WITH(merge("moe@upcycled_base", Json::object(), without),
                    Contains("needs the base"));
}

TEST_CASE("any dense method may merge the rest", "[methods][moe]") {
  const MergeInputs inputs = small_models(2);
  for (const char* method : {"task_arithmetic", "ties", "slerp", "karcher"}) {
    CAPTURE(method);
    const StateDict mixture = merge("moe", {{"shared", method}}, inputs);
    StateDict dense = merge(method, Json::object(), inputs);
    size_t compared = 0;
    for (const auto& [name, tensor] : mixture) {
      if (dense.count(name) == 0) continue;
      ++compared;
      // TIES takes the share that it keeps of all merged tensors together.
      if (std::string(method) != "ties") CHECK(distance(tensor, dense.at(name)) <= 1e-6);
    }
    CHECK(compared == dense.size() - 6);
  }
}

TEST_CASE("a method of whole models may merge the rest", "[methods][moe]") {
  const MergeInputs inputs = small_models(2);
  const StateDict mixture =
      merge("moe", {{"shared", "whole_slices"}}, inputs);  // the first expert, of test_slices.cpp
  CHECK(at::equal(mixture.at(kQuery), tensor_of_expert(inputs, 0, kQuery)));
  CHECK(at::equal(mixture.at(kSparse + "experts.1.w2.weight"),
                  tensor_of_expert(inputs, 1, kDense + "down_proj.weight")));
  const StateDict parts = merge("moe", Json::object(), inputs);
  CHECK(at::equal(mixture.at(kSparse + "gate.weight"), parts.at(kSparse + "gate.weight")));
}

TEST_CASE("one expert and the base make a mixture of two", "[methods][moe]") {
  const MergeInputs inputs = small_models(1);
  const Json parameters = {{"shared", {{"method", "task_arithmetic"}, {"scale", 0.5}}},
                           {"base_expert", true}};
  const StateDict mixture = merge("moe", parameters, inputs);
  const at::Tensor half = (inputs.base->read(kQuery) + tensor_of_expert(inputs, 0, kQuery)) / 2;
  CHECK(distance(mixture.at(kQuery), half) <= 1e-6);
  CHECK(mixture.at(kSparse + "gate.weight").size(0) == 2);

  const StateDict alone = merge("moe", {{"shared", parameters.at("shared")}, {"top_k", 1}}, inputs);
  CHECK(distance(alone.at(kQuery), half) <= 1e-6);
  CHECK(at::equal(alone.at(kSparse + "experts.0.w1.weight"),
                  tensor_of_expert(inputs, 0, kDense + "gate_proj.weight")));
}

TEST_CASE("MergeME's presets without a drop are the base and a third of the task vectors",
          "[methods][moe]") {
  const MergeInputs inputs = small_models(3);
  const Json all = {{"shared", {{"drop", 0.0}}}};
  const StateDict mixture = merge("moe@mergeme_dare", all, inputs);
  const at::Tensor base = inputs.base->read(kQuery);
  // The base's own task vector is zero.
  CHECK(distance(mixture.at(kQuery), mean_of(inputs, kQuery)) <= 2e-6);
  CHECK(distance(mixture.at(kQuery), base) > 1e-2);
}

TEST_CASE("what no mixture can be made of is skipped, with the reason", "[methods][moe]") {
  const auto reason = [](const Json& parameters, const Json& changes,
                         size_t experts = 2) -> std::string {
    MergeInputs inputs = small_models(experts);
    inputs.config.update(changes);
    try {
      merge("moe", random_gates(parameters), inputs);
    } catch (const SkipCell& skipped) {
      return skipped.what();
    }
    return "not skipped";
  };
  CHECK_THAT(reason({{"top_k", 3}}, Json::object()), Contains("3 experts") && Contains("are 2"));
  CHECK_THAT(reason({{"top_k", 3}, {"base_expert", true}}, Json::object()),
             Contains("not skipped"));
  CHECK_THAT(reason(Json::object(), {{"model_type", "gpt2"}}), Contains("'gpt2'"));
  CHECK_THAT(reason(Json::object(), {{"attention_bias", true}}), Contains("'attention_bias'"));
  CHECK_THAT(reason(Json::object(), Json::object(), 17), Contains("17 of 16"));
}

TEST_CASE("parameters that do not go together are refused", "[methods][moe]") {
  const auto refused = [](const Json& parameters) -> std::string {
    try {
      make_method("moe", JsonReader(parameters, "test"));
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK_THAT(refused({{"router", "hidden_avg"}, {"base_expert", true}}),
             Contains("hidden_avg") && Contains("base_expert"));
  CHECK_THAT(refused({{"shared", "emr"}}), Contains("another form of model"));
  CHECK_THAT(refused({{"shared", "moe"}}), Contains("another form of model"));
  CHECK_THAT(refused({{"router", "hiden_avg"}}), Contains("'hidden_avg'?"));
  CHECK_THAT(refused({{"router", {{"router", "random"}, {"deviatio", 1}}}}),
             Contains("'deviation'?"));
  CHECK_THAT(refused({{"router", {{"router", "random"}, {"version", 99}}}}),
             Contains("random has version 1"));
  CHECK(refused({{"router", {{"deviation", 0.02}}}}) == "accepted");
}

TEST_CASE("a router's parameters have dotted names", "[methods][moe]") {
  Json parameters = Json::object();
  set_parameter("moe", parameters, "router.deviation", 0.5, "test");
  CHECK(parameters == Json{{"router", {{"deviation", 0.5}}}});
  parameters = {{"router", "hidden_avg"}};
  set_parameter("moe", parameters, "router.temperature", 2, "test");
  CHECK(parameters == Json{{"router", {{"router", "hidden_avg"}, {"temperature", 2}}}});

  const auto method = make_method("moe", JsonReader(parameters, "test"));
  CHECK(method->needs().calibration_inputs);
  CHECK(method->needs().tokenizer);
  CHECK(method->needs().base);
  const Json flat = flat_parameters(method->parameters());
  CHECK(flat.at("router") == "hidden_avg");
  CHECK(flat.at("router.temperature") == 2);
  CHECK(flat.at("shared") == "average");
  const std::vector<ParamDoc> usual = methods().at("moe", "test").parameters();
  const Json changed = changed_parameters(usual, method->parameters());
  CHECK(changed.at("router") == "hidden_avg");
  CHECK(changed.at("router.temperature") == 2);
  CHECK(changed.size() == 2);
}

TEST_CASE("a mixture's config keeps what the models compute with", "[methods][moe]") {
  const auto config_of = [](const Json& changes) {
    MergeInputs inputs = small_models(2);
    inputs.config.update(changes);
    MergeReport report;
    merge("moe", Json::object(), inputs, &report);
    return *report.config;
  };
  const Json llama = config_of({{"tie_word_embeddings", false}});
  CHECK(llama.at("rope_theta") == 10000.0);
  CHECK(llama.at("sliding_window").is_null());
  CHECK(llama.at("max_position_embeddings") == 2048);
  CHECK(config_of({{"rope_theta", 5e5}}).at("rope_theta") == 5e5);
  const Json theta = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  CHECK_FALSE(config_of({{"rope_parameters", theta}}).contains("rope_theta"));
  CHECK(config_of({{"model_type", "mistral"}}).at("sliding_window") == 4096);
  CHECK(config_of({{"model_type", "mistral"}, {"sliding_window", nullptr}})
            .at("sliding_window")
            .is_null());
}

TEST_CASE("random gates have their moments and a stream for each row", "[methods][moe]") {
  Json config = small_llama_config();
  config["hidden_size"] = 512;
  const MergeInputs inputs = small_models(2, config);
  const auto gate = [&](const Json& router, int block = 1) {
    return merge("moe", {{"router", router}}, inputs)
        .at(fmt::format("model.layers.{}.block_sparse_moe.gate.weight", block));
  };
  const at::Tensor normal = gate("random");
  CHECK(std::abs(normal.mean().item<double>()) <= 0.1);
  CHECK(normal.std().item<double>() == Approx(1).epsilon(0.1));
  CHECK(at::allclose(gate({{"router", "random"}, {"deviation", 0.5}}), normal * 0.5));
  CHECK_FALSE(at::equal(normal[0], normal[1]));
  CHECK_FALSE(at::equal(normal, gate("random", 0)));

  const at::Tensor uniform = gate("uniform_random");
  const double bound = 1 / std::sqrt(512.0);
  CHECK(uniform.abs().max().item<double>() <= bound);
  CHECK(uniform.std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.1));
}

TEST_CASE("a mixture depends on the seed where its router or its merge does", "[methods][moe]") {
  const auto randomized = [](const Json& parameters) {
    return make_method("moe", JsonReader(parameters, "test"))->randomized();
  };
  CHECK(randomized({{"router", "random"}}));
  CHECK_FALSE(randomized({{"router", "hidden_avg"}}));
  CHECK(randomized({{"router", "hidden_avg"}, {"shared", "dare"}}));
  CHECK_FALSE(randomized({{"router", "hidden_avg"}, {"shared", "dare"}, {"rest", "base"}}));
}
