// Routed ensembles of experts of different widths and depths.
#include <ATen/ATen.h>

#include <cmath>

#include "harness/model/routed.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const at::Tensor kTokens = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});

Json narrow_llama_config() {
  Json config = small_llama_config();
  config["hidden_size"] = 4;
  config["num_hidden_layers"] = 1;
  return config;
}

/// Of widths 8 and 4, without a base.
MergeInputs two_widths() {
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = small_llama_config();
  inputs.experts = {source("wide", small_model(1)),
                    source("narrow", small_model(2, narrow_llama_config()))};
  inputs.expert_configs = {small_llama_config(), narrow_llama_config()};
  return inputs;
}

at::Tensor ensemble_logits(const MergeReport& report, const StateDict& merged) {
  const auto model = make_architecture(JsonReader(*report.config, "test"));
  return model->logits(load_weights(*model, *source("model", merged), at::kCPU), kTokens);
}

bool takes_unequal(const Json& parameters) {
  return !make_method("routed_ensemble", JsonReader(parameters, "test"))->needs().same_shapes;
}

}  // namespace

TEST_CASE("experts of two widths lie between the mean of their embeddings and of their heads",
          "[methods][moe][routed]") {
  const MergeInputs inputs = two_widths();
  MergeReport report;
  const StateDict merged =
      merge("routed_ensemble@mergeme_heterogeneous", Json::object(), inputs, &report);
  for (const auto& [name, of] : {std::pair{"embedding.weight", "model.embed_tokens.weight"},
                                 std::pair{"head.weight", "lm_head.weight"}}) {
    const at::Tensor wide = inputs.experts[0]->read(of), narrow = inputs.experts[1]->read(of);
    const at::Tensor mean = merged.at(name);
    REQUIRE(mean.sizes() == wide.sizes());
    CHECK(distance(mean.narrow(1, 0, 4), (wide.narrow(1, 0, 4) + narrow) / 2) <= 1e-6);
    CHECK(distance(mean.narrow(1, 4, 4), wide.narrow(1, 4, 4) / 2) <= 1e-6);
  }
  CHECK(at::equal(merged.at("projectors.0.in.weight"), at::eye(8)));
  CHECK(at::equal(merged.at("projectors.0.out.weight"), at::eye(8)));
  CHECK(merged.at("projectors.1.in.weight").sizes() == at::IntArrayRef{4, 8});
  CHECK(merged.at("projectors.1.out.weight").sizes() == at::IntArrayRef{8, 4});
  for (const TensorInfo& tensor : inputs.experts[1]->tensors())
    CHECK(at::equal(merged.at("members.1." + tensor.name), inputs.experts[1]->read(tensor.name)));
  REQUIRE(report.config->at("member").size() == 2);
  CHECK(report.config->at("member")[1].at("hidden_size") == 4);
  CHECK(ensemble_logits(report, merged).isfinite().all().item<bool>());
}

TEST_CASE("projectors between different widths depend on the seed", "[methods][moe][routed]") {
  Json wide = small_llama_config(), narrow = wide;
  wide["hidden_size"] = 64;
  narrow["hidden_size"] = 32;
  for (Json* config : {&wide, &narrow}) (*config)["vocab_size"] = 80;
  MergeInputs inputs;
  inputs.config = wide;
  inputs.experts = {source("wide", small_model(1, wide)), source("narrow", small_model(2, narrow))};
  inputs.expert_configs = {wide, narrow};
  const Json parameters = {{"mix", "hidden"}, {"router", "uniform"}};
  std::vector<at::Tensor> drawn;
  for (const uint64_t seed : {1, 2, 3}) {
    inputs.seed = seed;
    const StateDict merged = merge("routed_ensemble", parameters, inputs);
    const at::Tensor in = merged.at("projectors.1.in.weight");
    // 2048 normal values: the variance is within 4 of its standard errors.
    CHECK(in.var().item<double>() * 64 == Approx(1).margin(4 * std::sqrt(2. / 2048)));
    CHECK(in.mean().item<double>() == Approx(0).margin(4 / std::sqrt(64. * 2048)));
    CHECK(merged.at("projectors.1.out.weight").var().item<double>() * 32 ==
          Approx(1).margin(4 * std::sqrt(2. / 2048)));
    CHECK(same_bytes(merged, merge("routed_ensemble", parameters, inputs)));
    for (const at::Tensor& other : drawn) CHECK_FALSE(at::equal(in, other));
    drawn.push_back(in);
  }
  const StateDict kept =
      merge("routed_ensemble",
            {{"mix", "hidden"}, {"router", "uniform"}, {"projectors", "identity"}}, inputs);
  CHECK(at::equal(kept.at("projectors.1.in.weight"), at::eye(32, 64)));
  CHECK(at::equal(kept.at("projectors.1.out.weight"), at::eye(64, 32)));
  const StateDict random =
      merge("routed_ensemble", {{"mix", "hidden"}, {"router", "uniform"}, {"projectors", "random"}},
            inputs);
  CHECK(random.at("projectors.0.in.weight").var().item<double>() * 64 ==
        Approx(1).margin(4 * std::sqrt(2. / 4096)));
}

TEST_CASE("the heterogeneous form of one expert is the expert", "[methods][moe][routed]") {
  MergeReport report;
  const MergeInputs inputs = small_models(1);
  const StateDict merged =
      merge("routed_ensemble@mergeme_heterogeneous", {{"top_k", 1}}, inputs, &report);
  const auto model = make_architecture(JsonReader(small_llama_config(), "test"));
  CHECK(distance(ensemble_logits(report, merged), model->logits(small_model(1), kTokens)) <= 1e-5);
}

TEST_CASE("experts of two widths answer side by side as they are", "[methods][moe][routed]") {
  MergeReport report;
  const StateDict merged =
      merge("routed_ensemble", {{"router", "uniform"}, {"mix", "logits"}}, two_widths(), &report);
  const auto wide = make_architecture(JsonReader(small_llama_config(), "test"));
  const auto narrow = make_architecture(JsonReader(narrow_llama_config(), "test"));
  const at::Tensor mean =
      (wide->logits(small_model(1), kTokens).log_softmax(-1) +
       narrow->logits(small_model(2, narrow_llama_config()), kTokens).log_softmax(-1)) /
      2;
  CHECK(distance(ensemble_logits(report, merged).log_softmax(-1), mean.log_softmax(-1)) <= 1e-5);
}

TEST_CASE("a router's rows have the first member's width, whatever the base's",
          "[methods][moe][routed]") {
  MergeInputs inputs = two_widths();
  inputs.base = source("base", small_model(0, narrow_llama_config()));
  inputs.config = narrow_llama_config();
  for (const char* mix : {"probabilities", "hidden"}) {
    MergeReport report;
    const StateDict merged =
        merge("routed_ensemble", {{"router", "random"}, {"mix", mix}}, inputs, &report);
    CHECK(merged.at("router.rows.weight").sizes() == at::IntArrayRef{2, 8});
    CHECK(ensemble_logits(report, merged).isfinite().all().item<bool>());
  }
  FakeEvidence evidence;
  evidence.of_network =
      std::make_shared<FakeNetwork>(std::vector<int64_t>{1, 1}, FakeNetwork::Logits());
  inputs.evidence = &evidence;
  CHECK_THROWS_WITH(merge("routed_ensemble", {{"router", "sequence_embedding"}}, inputs),
                    Contains("of shape [16, 4], which is to have the shape of the first expert's"));
}

TEST_CASE("what takes experts of one form says so", "[methods][moe][routed]") {
  CHECK(takes_unequal({{"mix", "hidden"}}));
  CHECK(takes_unequal({{"mix", "logits"}}));
  CHECK_FALSE(takes_unequal({{"own", "layers"}, {"mix", "layers"}}));
  CHECK_FALSE(takes_unequal({{"own", "feed_forward"}}));
  CHECK_FALSE(takes_unequal({{"router", "task_vector_gradient"}}));
  CHECK_THROWS_WITH(takes_unequal({{"mix", "hidden"}, {"own", "layers"}}), Contains("everything"));

  MergeInputs inputs = two_widths();
  Json other = narrow_llama_config();
  other["vocab_size"] = 12;
  inputs.experts[1] = source("narrow", small_model(2, other));
  inputs.expert_configs[1] = other;
  CHECK_THROWS_WITH(merge("routed_ensemble", {{"mix", "hidden"}}, inputs),
                    Contains("16 and 12 tokens"));
  CHECK_THROWS_WITH(merge("average", Json::object(), inputs), Contains("has shape"));
}
