#include <cmath>

#include "harness/core/error.h"
#include "harness/method/routed_network.h"
#include "methods/moe/dropping_routes.h"
#include "methods/moe/sampled_routes.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kLayer = "model.layers.0.block_sparse_moe.";

/// Six experts, two of which a token is sent to.
const Networks& mixtures() {
  static const Networks networks = decoders("mixtral");
  return networks;
}

const Evidence& mixtures_evidence() {
  static const NetworkEvidence evidence(mixtures());
  return evidence.get();
}

StateDict tuned_decoders(Json parameters, uint64_t seed = 42, MergeReport* report = nullptr) {
  static const Networks networks = decoders();
  static const NetworkEvidence evidence(networks);
  MergeInputs inputs = network_inputs("moe@btx", networks);
  inputs.evidence = &evidence.get();
  inputs.dtype = at::kFloat;
  inputs.seed = seed;
  const std::string preset = parameters.value("preset", "");
  parameters.erase("preset");
  return merge("fine_tune" + preset, parameters, inputs, report);
}

/// What is left of one mixture, in its own dtype.
StateDict from_mixture(const std::string& method, Json parameters, MergeReport* report = nullptr) {
  MergeInputs inputs = network_inputs("prune_experts", mixtures());
  inputs.evidence = &mixtures_evidence();
  if (method == "fine_tune" && !parameters.contains("of")) parameters["of"] = "average";
  return merge(method, parameters, inputs, report);
}

/// Routes that have seen tokens of one router, sent to the expert of the largest logit.
ExpertChoice sent(DroppingRoutes& routes, const at::Tensor& logits,
                  const at::Tensor& counted = {}) {
  const std::function own = [](const at::Tensor& of) {
    const at::Tensor experts = of.argmax(1, /*keepdim=*/true);
    return ExpertChoice{experts, at::ones(experts.sizes())};
  };
  const std::string router = "router";
  return routes.route(0, 0)({router, logits, counted, own});
}

/// Logits of tokens of which so many are each expert's. Other experts are the likelier the lower
/// their number.
at::Tensor tokens_of(const std::vector<int64_t>& counts) {
  std::vector<int64_t> experts;
  for (size_t i = 0; i < counts.size(); ++i)
    experts.insert(experts.end(), static_cast<size_t>(counts[i]), static_cast<int64_t>(i));
  const auto all = static_cast<int64_t>(counts.size());
  return at::one_hot(at::tensor(experts, at::kLong), all).to(at::kFloat) * 9 -
         at::arange(all, at::kFloat);
}

DroppingRoutes dropping(const DropRule& rule, size_t experts) {
  MixtureLayer layer;
  layer.router = "router";
  layer.tensors.resize(experts);
  return {{layer}, rule};
}

}  // namespace

TEST_CASE("Gumbel numbers have their distribution, and depend on key and place alone",
          "[methods][moe][routes]") {
  const at::Tensor many = gumbel_numbers(1000, 100, 7);
  CHECK(many.isfinite().all().item<bool>());
  // Euler's constant and pi^2 / 6; five standard errors of 100000 numbers.
  CHECK(many.mean().item<double>() == Approx(0.5772).margin(0.02));
  CHECK(many.var().item<double>() == Approx(1.6449).margin(0.06));
  CHECK(at::equal(gumbel_numbers(2, 3, 7).flatten(), many.flatten().narrow(0, 0, 6)));
  CHECK_FALSE(at::equal(gumbel_numbers(2, 3, 8), gumbel_numbers(2, 3, 7)));
}

TEST_CASE("without noise, sampled routing at temperature 0 is top-1", "[methods][moe][routes]") {
  const at::Tensor logits = at::tensor({0.f, 1.f, .5f, 2.f, -1.f, 1.9f}).view({2, 3});
  const ExpertChoice choice = sampled_expert(logits, at::zeros({2, 3}), 1e-4);
  CHECK(at::equal(choice.experts, at::tensor({1, 0}, at::kLong).view({2, 1})));
  CHECK(at::equal(choice.weights, at::ones({2, 1})));
}

TEST_CASE("a sampled expert's weight is its probability, through which the router learns",
          "[methods][moe][routes]") {
  const at::Tensor logits = at::tensor({0.f, std::log(3.f)}).view({1, 2}).requires_grad_(true);
  const auto weight = [&](double temperature, const at::Tensor& noise) {
    logits.mutable_grad() = at::Tensor();
    const ExpertChoice choice = sampled_expert(logits, noise, temperature);
    choice.weights.sum().backward();
    return choice;
  };
  const at::Tensor none = at::zeros({1, 2});
  ExpertChoice choice = weight(1, none);
  CHECK(choice.experts.item<int64_t>() == 1);
  CHECK(choice.weights.item<double>() == Approx(0.75));
  // p (1 - p), and minus that.
  CHECK(distance(logits.grad(), at::tensor({-.1875f, .1875f}).view({1, 2})) <= 1e-6);
  // A softmax of (0, 2 ln 3); the gradient is divided by the temperature, too.
  choice = weight(0.5, none);
  CHECK(choice.weights.item<double>() == Approx(0.9));
  CHECK(distance(logits.grad(), at::tensor({-.18f, .18f}).view({1, 2})) <= 1e-6);
  // Noise of ln 9 for the first: (ln 9, ln 3).
  choice = weight(1, at::tensor({std::log(9.f), 0.f}).view({1, 2}));
  CHECK(choice.experts.item<int64_t>() == 0);
  CHECK(choice.weights.item<double>() == Approx(0.75));
}

TEST_CASE("experts are drawn by the softmax of the router's scores", "[methods][moe][routes]") {
  constexpr int64_t kTokens = 20000;
  const at::Tensor logits = at::tensor({0.f, std::log(3.f)}).expand({kTokens, 2});
  const ExpertChoice choice = sampled_expert(logits, gumbel_numbers(kTokens, 2, 3), 0.5);
  // Five standard errors.
  CHECK(choice.experts.to(at::kDouble).mean().item<double>() == Approx(0.75).margin(0.016));
}

TEST_CASE("the temperature falls by an exponential to the least one", "[methods][moe][routes]") {
  const Annealing published;
  CHECK(published.temperature(0) == 1);
  CHECK(published.temperature(1000) == Approx(std::exp(-0.1)));
  CHECK(published.temperature(6000) == Approx(std::exp(-0.6)));
  CHECK(published.temperature(7000) == 0.5);
}

TEST_CASE("tokens are sent where training says, under the router's name in the merge",
          "[calibration][moe][routes]") {
  Json config = mixtures().architecture->config();
  const Network& network = mixtures_evidence().network();
  StateDict weights;
  for (const TensorInfo& info : mixtures().base->tensors())
    weights[info.name] = mixtures().base->read(info.name).to(at::kFloat);
  std::vector<RouterScores> routers;
  std::vector<std::string> seen;
  const auto own = routed_network(network).routed_logits(
      weights, 0, 0, 3,
      [&](const TokensToRoute& tokens) {
        seen.push_back(tokens.router);
        CHECK(tokens.counted.numel() == tokens.logits.size(0));
        return tokens.own(tokens.logits);
      },
      routers);
  CHECK(at::equal(own, network.logits(weights, 0, 0, 3)));
  CHECK(seen == std::vector<std::string>{kLayer + "gate.weight",
                                         "model.layers.1.block_sparse_moe.gate.weight"});

  // Sampling in the limit is the model that sends each token to one expert.
  const RouteTokens highest = [](const TokensToRoute& tokens) {
    return sampled_expert(tokens.logits, at::zeros(tokens.logits.sizes()), 1e-6);
  };
  config["num_experts_per_tok"] = 1;
  const auto top_1 = mixtures_evidence().network_of(config);
  routers.clear();
  const at::Tensor sampled =
      routed_network(network).routed_logits(weights, 0, 0, 3, highest, routers);
  CHECK(distance(sampled, top_1->logits(weights, 0, 0, 3)) <= 1e-5);
  CHECK(routers.front().top_k == 1);
  CHECK(distance(sampled, own) > 1e-4);
  // Without a reference names are those of the weights.
  seen.clear();
  routers.clear();
  const auto name = [&](const TokensToRoute& tokens) {
    seen.push_back(tokens.router);
    return tokens.own(tokens.logits);
  };
  routed_network(*top_1).routed_logits(weights, 0, 0, 3, name, routers);
  CHECK(seen.front() == kLayer + "gate.weight");
}

TEST_CASE("what one expert gives teaches a router when it is sampled, and not when its weight is 1",
          "[calibration][moe][routes]") {
  Json config = mixtures().architecture->config();
  config["num_experts_per_tok"] = 1;
  const auto network = mixtures_evidence().network_of(config);
  StateDict weights;
  for (const TensorInfo& info : mixtures().base->tensors())
    weights[info.name] = mixtures().base->read(info.name).to(at::kFloat);
  const at::Tensor& gate = weights.at(kLayer + "gate.weight").requires_grad_(true);
  const auto gradient = [&](const RouteTokens& route) {
    gate.mutable_grad() = at::Tensor();
    std::vector<RouterScores> routers;
    const at::Tensor scores =
        routed_network(*network).routed_logits(weights, 0, 0, 3, route, routers);
    at::cross_entropy_loss(scores, network->targets(0, 0, 3)).backward();
    return gate.grad().norm().item<double>();
  };
  SampledRoutes routes({}, 5);
  const double sampled = gradient(routes.route(0, 0));
  CHECK(sampled > 1e-4);
  CHECK(gradient({}) <= 1e-4 * sampled);
}

TEST_CASE("sampled training depends on the seed and on inputs alone", "[methods][moe][routes]") {
  const Json parameters{{"preset", "@btx_sampled"}, {"tokens", 9}, {"router_tokens", 9}};
  MergeReport report;
  const StateDict one = tuned_decoders(parameters, 42, &report);
  CHECK(report.config->at("num_experts_per_tok") == 1);
  CHECK(report.config->at("model_type") == "mixtral");
  const Threads threads(2);
  CHECK(same_bytes(tuned_decoders(parameters, 42), one));
  // Of a mixture whose gates do not depend on the seed.
  Json fixed{{"of", {{"method", "moe@upcycled"}, {"router", "hidden_avg"}}}, {"tokens", 9}};
  CHECK(same_bytes(tuned_decoders(fixed, 1), tuned_decoders(fixed, 2)));
  fixed["sampling"] = "gumbel";
  CHECK_FALSE(same_bytes(tuned_decoders(fixed, 1), tuned_decoders(fixed, 2)));
  const auto randomized = [](const Json& of) {
    return make_method("fine_tune", JsonReader(of, "test"))->randomized();
  };
  CHECK_FALSE(randomized({{"of", "average"}}));
  CHECK(randomized({{"of", "average"}, {"sampling", "gumbel"}}));
}

TEST_CASE("Switch routing is that of a form whose one expert counts by its probability",
          "[methods][moe][routes]") {
  MergeReport report;
  const StateDict made = tuned_decoders({{"preset", "@btx_switch"}, {"tokens", 9}}, 42, &report);
  CHECK(report.config->at("model_type") == "deepseek");
  CHECK(report.config->at("num_experts_per_tok") == 1);
  CHECK(made.contains("model.layers.0.mlp.gate.weight"));
}

TEST_CASE("the experts of a token while training count for a mixture without a plan, too",
          "[methods][moe][routes]") {
  Json parameters{{"tokens", 3}, {"learning_rate", 0.01}};
  const StateDict usual = from_mixture("fine_tune", parameters);
  parameters["routing"] = 2;
  CHECK(same_bytes(from_mixture("fine_tune", parameters), usual));
  parameters["routing"] = 1;
  CHECK_FALSE(same_bytes(from_mixture("fine_tune", parameters), usual));
}

TEST_CASE("experts that few tokens are sent to are dropped step by step",
          "[methods][moe][routes]") {
  DroppingRoutes routes = dropping({.left = 2, .below = .1, .decay = .5, .until = .9}, 4);
  const auto left = [&] { return routes.left("router"); };
  // Shares of .5, .45, .05 and 0; an even usage is 1/4, a tenth of it .025.
  sent(routes, tokens_of({20, 18, 2, 0}));
  routes.stepped(.1);
  CHECK(left() == std::vector<int64_t>{0, 1, 2});
  // The token of the dropped one goes to the next likely one. Means of .3, .675 and .025, which is
  // less than a tenth of 1/3.
  const ExpertChoice choice = sent(routes, tokens_of({1, 18, 0, 1}));
  CHECK(choice.experts[19].item<int64_t>() == 0);
  routes.stepped(.2);
  CHECK(left() == std::vector<int64_t>{0, 1});
  // Never fewer.
  sent(routes, tokens_of({20, 0, 0, 0}));
  routes.stepped(.3);
  routes.stepped(1);
  CHECK(left() == std::vector<int64_t>{0, 1});
}

TEST_CASE("at the end those that are used most are left, of equal ones the first",
          "[methods][moe][routes]") {
  DroppingRoutes routes = dropping({.left = 2, .below = 0, .decay = .9, .until = .5}, 4);
  sent(routes, tokens_of({2, 1, 5, 2}));
  routes.stepped(.4);
  CHECK(routes.left("router").size() == 4);
  routes.stepped(.5);  // nothing was routed in this step
  CHECK(routes.left("router") == std::vector<int64_t>{0, 2});
}

TEST_CASE("padding does not count as usage", "[methods][moe][routes]") {
  DroppingRoutes routes = dropping({.left = 1, .below = 0, .decay = .9, .until = 0}, 2);
  const at::Tensor counted = at::tensor({0, 0, 0, 1, 1}, at::kLong).to(at::kBool);
  sent(routes, tokens_of({3, 2}), counted);
  routes.stepped(0);
  CHECK(routes.left("router") == std::vector<int64_t>{1});
}

TEST_CASE("task-specific pruning without training is pruning by usage", "[methods][moe][routes]") {
  MergeReport report, wanted_report;
  const StateDict wanted = from_mixture("prune_experts", {{"experts", 3}}, &wanted_report);
  const StateDict found = from_mixture(
      "fine_tune",
      {{"prune", 3}, {"prune.until", 0}, {"batch", 3}, {"tokens", 9}, {"learning_rate", 0}},
      &report);
  CHECK(same_bytes(found, wanted));
  CHECK(report.config == wanted_report.config);
  CHECK(report.config->at("num_local_experts") == 3);
}

TEST_CASE("a mixture that lost experts while it was trained is an ordinary one",
          "[methods][moe][routes]") {
  MergeReport report;
  const Json parameters{{"prune", 2}, {"tokens", 30}, {"learning_rate", 0.01}};
  const StateDict made = from_mixture("fine_tune", parameters, &report);
  CHECK(made.at(kLayer + "gate.weight").size(0) == 2);
  CHECK(made.contains(kLayer + "experts.1.w1.weight"));
  CHECK_FALSE(made.contains(kLayer + "experts.2.w1.weight"));
  const auto model = language(*report.config);
  const at::Tensor ids = at::tensor({3, 1, 4}, at::kLong).view({1, 3});
  CHECK(model->logits(load_weights(*model, *source("made", made), at::kCPU), ids)
            .isfinite()
            .all()
            .item<bool>());
  CHECK(same_bytes(from_mixture("fine_tune", parameters), made));
  // Of what another method makes.
  MergeReport merged;
  tuned_decoders({{"of", "moe@btx"}, {"tokens", 9}, {"prune", 3}}, 42, &merged);
  CHECK(merged.config->at("num_local_experts") == 3);
}

TEST_CASE("what cannot be pruned while it is trained is refused with the reason",
          "[methods][moe][routes]") {
  CHECK_THROWS_WITH(from_mixture("fine_tune", {{"prune", 1}}),
                    Contains("is to leave 1 experts of models that send a token to 2"));
  CHECK_THROWS_WITH(from_mixture("fine_tune", {{"prune", 7}}), Contains("of layers that have 6"));
  const Json compact{{"method", "merge_experts"}, {"experts", 4},        {"allocation", "uniform"},
                     {"grouping", "random"},      {"alignment", "none"}, {"merge", "uniform"},
                     {"store", "compact"}};
  CHECK_THROWS_WITH(from_mixture("fine_tune", {{"prune", 2}, {"of", compact}}),
                    Contains("routers that are one matrix"));
  CHECK_THROWS_WITH(tuned_decoders({{"of", "average"}, {"prune", 2}}),
                    Contains("works on mixtures of experts"));
  CHECK_THROWS_WITH(tuned_decoders({{"of", "average"}, {"sampling", "gumbel"}, {"tokens", 3}}),
                    Contains("has no routers"));
  const auto refused = [](const Json& parameters) {
    make_method("fine_tune", JsonReader(parameters, "test"));
  };
  CHECK_THROWS_WITH(refused({{"sampling", "gumbel"}, {"routing", 2}}),
                    Contains("expected 'routing' 0 or 1"));
  CHECK_THROWS_WITH(refused({{"prune", 2}, {"tokens", 0}}), Contains("'tokens' above 0"));
  CHECK_THROWS_WITH(refused({{"prune", 2}, {"sampling", "gumbel"}}), Contains("'sampling' none"));
  CHECK_THROWS_WITH(refused({{"prune", 2}, {"balance", 0.01}}), Contains("'balance'"));
  CHECK_THROWS_WITH(refused({{"prune", 2}, {"routing", 3}}), Contains("than 'prune' leaves"));
}
