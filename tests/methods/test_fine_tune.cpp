#include <cmath>

#include "harness/core/error.h"
#include "harness/method/routed_network.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"
#include "tests/methods/mixtures.h"
#include "tests/model/positions.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kGate = "model.layers.1.block_sparse_moe.gate.weight";

/// A model of one tensor w [3], the scores of three classes, whatever the input. The true class of
/// each of an expert's two examples is the expert's index.
FakeEvidence scores_evidence() {
  FakeEvidence made;
  made.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{2, 2},
      [](const StateDict& weights, size_t, int64_t, int64_t count) {
        return weights.at("w").expand({count, 3});
      },
      [](size_t expert, int64_t, int64_t count) {
        return at::full({count}, static_cast<int64_t>(expert), at::kLong);
      });
  return made;
}

StateDict tuned_scores(const FakeEvidence& evidence, size_t experts, Json parameters,
                       MergeReport* report = nullptr) {
  MergeInputs inputs =
      one_tensor_inputs({}, std::vector<at::Tensor>(experts, at::tensor({1.f, 2.f, 3.f})));
  inputs.evidence = &evidence;
  parameters["of"] = "average";
  return merge("fine_tune", parameters, inputs, report);
}

/// A small decoder's mixture, on real calibration data.
StateDict tuned_mixture(const Json& parameters, MergeReport* report = nullptr) {
  static const Networks networks = decoders();
  static const NetworkEvidence evidence(networks);
  MergeInputs inputs = network_inputs("moe@btx", networks);
  inputs.evidence = &evidence.get();
  inputs.dtype = at::kFloat;
  return merge("fine_tune", parameters, inputs, report);
}

}  // namespace

TEST_CASE("a first step of AdamW moves scores by the learning rate, towards the true classes",
          "[methods][moe]") {
  MergeReport report;
  const FakeEvidence evidence = scores_evidence();
  const Json parameters{{"tokens", 2}, {"learning_rate", 0.25}, {"weight_decay", 0}};
  const StateDict made = tuned_scores(evidence, 1, parameters, &report);
  CHECK(distance(made.at("w"), at::tensor({1.25f, 1.75f, 2.75f})) <= 1e-5);
  CHECK(report.diagnostics.at("trained_tokens") == 2);
  CHECK(report.diagnostics.at("trained_parameters") == 3);
  CHECK(report.diagnostics.at("parameters_times_tokens") == 6);
  // -log softmax of (1, 2, 3) at the first class.
  CHECK(report.diagnostics.at("loss_first").get<double>() == Approx(2.407606));
  // Of two experts the classes 0 and 1 are true equally often: both rise, by gradients of
  // -1/2 + 0.09 and -1/2 + 0.245.
  const StateDict both = tuned_scores(evidence, 2, {{"tokens", 1}, {"learning_rate", 0.25}});
  CHECK(both.at("w")[0].item<float>() > 1.2f);
  CHECK(both.at("w")[1].item<float>() > 2.2f);
  CHECK(both.at("w")[2].item<float>() < 2.8f);
}

TEST_CASE("a stage ends with the step in which it has seen its tokens", "[methods][moe]") {
  const FakeEvidence evidence = scores_evidence();
  const auto tokens = [&](size_t experts, Json parameters) {
    MergeReport report;
    tuned_scores(evidence, experts, std::move(parameters), &report);
    return report.diagnostics.at("trained_tokens").get<int64_t>();
  };
  CHECK(tokens(1, {{"tokens", 3}, {"batch", 2}}) == 4);
  CHECK(tokens(1, {{"tokens", 3}, {"batch", 1}}) == 3);
  CHECK(tokens(2, {{"tokens", 5}, {"batch", 2}}) == 8);
}

TEST_CASE("without tokens a result is what the other method gives, bit for bit", "[methods][moe]") {
  const Json of =
      GENERATE(as<Json>(), Json("moe"), Json("moe@btx"), Json("moe@mergeme_ties"),
               Json("moe@mergeme_dare"), Json("moe@upcycled_base"), Json("moe@upcycled"),
               Json{{"method", "moe"}, {"shared", "ram"}, {"noise_scales", {0.1, 0.2, 0}}},
               Json{{"method", "moe"},
                    {"form", "qwen2_moe"},
                    {"shared_expert", "base"},
                    {"shared_gate", "zero"}},
               Json("ties"), Json("average"));
  CAPTURE(of.dump());
  MergeInputs inputs = small_models(3);
  inputs.evidence = &mixture_evidence();
  Json parameters = of.is_object() ? of : Json::object();
  parameters.erase("method");
  const std::string ref = of.is_object() ? "moe" : of.get<std::string>();
  MergeReport plain, report;
  const StateDict wanted = merge(ref, parameters, inputs, &plain);
  const StateDict found = merge("fine_tune", {{"of", of}, {"tokens", 0}}, inputs, &report);
  CHECK(same_bytes(found, wanted));
  CHECK(report.config == plain.config);
}

TEST_CASE("the first stage trains the routers alone, the second what globs name",
          "[methods][moe]") {
  const StateDict before = tuned_mixture({{"tokens", 0}});
  const auto changed = [&](const Json& parameters) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tuned_mixture(parameters))
      if (!at::equal(tensor, before.at(name))) names.push_back(name);
    return names;
  };
  const std::vector<std::string> routers = changed({{"tokens", 0}, {"router_tokens", 9}});
  CHECK(routers == std::vector<std::string>{"model.layers.0.block_sparse_moe.gate.weight", kGate});
  CHECK(changed({{"tokens", 9}, {"train", {"*.q_proj.*"}}}) ==
        std::vector<std::string>{"model.layers.0.self_attn.q_proj.weight",
                                 "model.layers.1.self_attn.q_proj.weight"});
  CHECK(changed({{"tokens", 9}}).size() > before.size() / 2);
}

TEST_CASE("training lowers the loss of a mixture, the same on any number of threads",
          "[methods][moe]") {
  MergeReport report;
  const Json parameters{{"of", "moe@btx"},
                        {"router_tokens", 30},
                        {"tokens", 300},
                        {"learning_rate", 0.01},
                        {"balance", 0.01}};
  const StateDict one = tuned_mixture(parameters, &report);
  CHECK(report.diagnostics.at("loss_last").get<double>() <
        0.5 * report.diagnostics.at("loss_first").get<double>());
  CHECK(report.config->at("num_experts_per_tok") == 2);
  const Threads threads(2);
  CHECK(same_bytes(tuned_mixture(parameters), one));
}

TEST_CASE("a mixture may be trained with more or fewer experts of a token than it runs with",
          "[methods][moe]") {
  MergeReport report;
  Json parameters{{"tokens", 9}};
  const StateDict usual = tuned_mixture(parameters);
  parameters["routing"] = 2;
  CHECK(same_bytes(tuned_mixture(parameters), usual));
  for (const int experts : {1, 3}) {
    parameters["routing"] = experts;
    CHECK_FALSE(same_bytes(tuned_mixture(parameters, &report), usual));
    CHECK(report.config->at("num_experts_per_tok") == 2);
  }
}

TEST_CASE("load balancing makes training even out the experts", "[methods][moe]") {
  // A router that scores two tokens by w: the first expert has nearly all.
  FakeEvidence evidence;
  const auto network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{2},
      [](const StateDict& weights, size_t, int64_t, int64_t count) {
        return weights.at("model.layers.0.mlp.experts.0.down_proj.weight").expand({count, 2});
      },
      [](size_t, int64_t, int64_t count) { return at::zeros({count}, at::kLong); });
  network->routed = [](const StateDict& weights) {
    return RouterScores{weights.at("model.layers.0.mlp.gate.weight").expand({2, 2}), 1};
  };
  evidence.of_network = network;
  MergeInputs inputs;
  inputs.evidence = &evidence;
  inputs.experts = {source(
      "mixture", {{"model.layers.0.mlp.gate.weight", at::tensor({4.f, 0.f})},
                  {"model.layers.0.mlp.experts.0.down_proj.weight", at::tensor({1.f, 1.f})},
                  {"model.layers.0.mlp.experts.1.down_proj.weight", at::tensor({1.f, 1.f})}})};
  const auto gate = [&](double balance) {
    return merge("fine_tune",
                 {{"of", "average"},
                  {"tokens", 2},
                  {"learning_rate", 0.5},
                  {"weight_decay", 0},
                  {"balance", balance}},
                 inputs)
        .at("model.layers.0.mlp.gate.weight");
  };
  CHECK(at::equal(gate(0), at::tensor({4.f, 0.f})));
  CHECK(distance(gate(1), at::tensor({3.5f, 0.5f})) <= 1e-4);
}

TEST_CASE("a teacher pulls scores to its own", "[methods][moe]") {
  // The teacher is sure of class 1, the truth is class 0.
  FakeEvidence evidence = scores_evidence();
  evidence.statistics["expert_logits"].push_back(
      {{"scores", at::tensor({0.f, 9.f, 0.f}).expand({2, 3}).contiguous()},
       {"classes", at::arange(3, at::kInt).expand({2, 3}).contiguous()},
       {"first_rows", at::arange(3, at::kLong)}});
  const auto step = [&](double weight) {
    return tuned_scores(evidence, 1,
                        {{"tokens", 2},
                         {"learning_rate", 0.25},
                         {"weight_decay", 0},
                         {"distillation", weight}})
        .at("w");
  };
  CHECK(distance(step(0), at::tensor({1.25f, 1.75f, 2.75f})) <= 1e-5);
  CHECK(distance(step(100), at::tensor({0.75f, 2.25f, 2.75f})) <= 1e-4);
}

TEST_CASE("tensors that are equal before may be kept equal", "[methods][moe]") {
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{1},
      [](const StateDict& weights, size_t, int64_t, int64_t) {
        return (weights.at("a") - 2 * weights.at("b")).unsqueeze(0);
      },
      [](size_t, int64_t, int64_t) { return at::zeros({1}, at::kLong); });
  MergeInputs inputs;
  inputs.evidence = &evidence;
  const at::Tensor both = at::tensor({1.f, 1.f});
  inputs.experts = {source("one", {{"a", both}, {"b", both}})};
  const auto made = [&](bool keep_equal) {
    return merge("fine_tune",
                 {{"of", "average"},
                  {"tokens", 1},
                  {"learning_rate", 0.5},
                  {"weight_decay", 0},
                  {"keep_equal", keep_equal}},
                 inputs);
  };
  const StateDict apart = made(false), equal = made(true);
  CHECK(distance(apart.at("a"), at::tensor({1.5f, 0.5f})) <= 1e-5);
  CHECK(distance(apart.at("b"), at::tensor({0.5f, 1.5f})) <= 1e-5);
  CHECK(at::equal(equal.at("a"), equal.at("b")));
  CHECK(distance(equal.at("a"), at::tensor({0.5f, 1.5f})) <= 1e-5);
}

TEST_CASE("a network shows what its routers score in the pass that gives its scores",
          "[calibration][moe]") {
  const Networks networks = decoders("mixtral");
  const NetworkEvidence evidence(networks);
  const Network& network = evidence.get().network();
  StateDict weights;
  for (const TensorInfo& info : networks.base->tensors())
    weights[info.name] = networks.base->read(info.name).to(at::kFloat);
  std::vector<RouterScores> routers;
  const at::Tensor scores = routed_network(network).routed_logits(weights, 0, 0, 3, {}, routers);
  CHECK(at::equal(scores, network.logits_by_length(weights, 0, 0, 3)));
  REQUIRE(routers.size() == 2);
  CHECK(routers.front().top_k == 2);
  // Texts of 3, 1 and 4 tokens and answers of one, in two passes: padding is left out.
  for (const RouterScores& router : routers) {
    CHECK(router.logits.size(0) == 3 + 1 + 4);
    CHECK(router.logits.size(1) == 6);
  }
  const auto other = evidence.get().network_of(networks.architecture->config());
  CHECK(at::equal(other->logits_by_length(weights, 0, 0, 3), scores));
}

TEST_CASE("texts that differ in length go through a network apart, and give the same scores",
          "[calibration][moe]") {
  const Networks networks = decoders("mixtral");
  const NetworkEvidence evidence(networks);
  const Network& network = evidence.get().network();
  const auto positions = [&](const auto& pass) {
    Positions seen("layers.0.self_attn.q_proj.weight");
    pass();
    return seen.count();
  };
  at::Tensor whole, divided;
  // Texts of 3, 1 and 4 tokens: three rows of 4, or one of 1 and two of 4.
  CHECK(positions([&] { whole = network.logits({}, 0, 0, 3); }) == 3 * 4);
  CHECK(positions([&] { divided = network.logits_by_length({}, 0, 0, 3); }) == 1 + 2 * 4);
  CHECK(distance(divided, whole) <= 1e-5);

  // Routers score the same tokens, in another order.
  const RouteTokens own = [](const TokensToRoute& tokens) { return tokens.own(tokens.logits); };
  std::vector<RouterScores> of_whole, of_parts;
  routed_network(network).routed_logits({}, 0, 0, 3, own, of_whole);
  routed_network(network).routed_logits({}, 0, 0, 3, {}, of_parts);
  REQUIRE(of_parts.size() == of_whole.size());
  for (size_t i = 0; i < of_whole.size(); ++i)
    CHECK(distance(std::get<0>(of_parts[i].logits.sort(0)),
                   std::get<0>(of_whole[i].logits.sort(0))) <= 1e-5);
}

TEST_CASE("fine_tune asks for scores by length", "[methods][moe]") {
  class ByLength final : public FakeNetwork {
   public:
    using FakeNetwork::FakeNetwork;
    at::Tensor logits_by_length(const StateDict& weights, size_t expert, int64_t first,
                                int64_t count) const override {
      ++passes;
      return logits(weights, expert, first, count);
    }
    mutable int passes = 0;
  };
  const auto network = std::make_shared<ByLength>(
      std::vector<int64_t>{2},
      [](const StateDict& weights, size_t, int64_t, int64_t count) {
        return weights.at("w").expand({count, 3});
      },
      [](size_t, int64_t, int64_t count) { return at::zeros({count}, at::kLong); });
  FakeEvidence evidence;
  evidence.of_network = network;
  tuned_scores(evidence, 1, {{"tokens", 6}, {"batch", 2}});
  CHECK(network->passes == 3);
}

TEST_CASE("what is not trained is refused with the reason", "[methods][moe]") {
  const FakeEvidence evidence = scores_evidence();
  CHECK_THROWS_WITH(tuned_scores(evidence, 1, {{"train", {"*.mlp.*"}}}),
                    Contains("no tensor of the result is one that is to be trained"));
  CHECK_THROWS_WITH(tuned_scores(evidence, 1, {{"router_tokens", 5}}), Contains("has no routers"));
  FakeEvidence infinite;
  infinite.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{2},
      [](const StateDict& weights, size_t, int64_t, int64_t count) {
        return (weights.at("w") / 0).expand({count, 3});
      },
      [](size_t, int64_t, int64_t count) { return at::zeros({count}, at::kLong); });
  CHECK_THROWS_WITH(tuned_scores(infinite, 1, Json::object()), Contains("nan at step 1;"));
  CHECK_THROWS_WITH(make_method("fine_tune", JsonReader({{"of", "emr"}}, "test")),
                    Contains("gives a model per task"));
}
