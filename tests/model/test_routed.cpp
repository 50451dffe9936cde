#include <ATen/ATen.h>

#include <cmath>

#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/model/routed_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const TokenIds kPrompt{3, 1, 4, 1, 5, 9};

/// exp(mean log P) of the tokens after the first.
double inverse_perplexity(const LanguageModel& model, const TokenIds& ids) {
  const std::vector<int64_t> all(ids.begin(), ids.end());
  const at::Tensor logits =
      model.architecture->logits(model.weights, at::tensor(all, at::kLong).unsqueeze(0));
  double sum = 0;
  for (size_t i = 1; i < ids.size(); ++i)
    sum += at::log_softmax(logits[0][static_cast<int64_t>(i) - 1].to(at::kDouble), 0)[ids[i]]
               .item<double>();
  return std::exp(sum / static_cast<double>(ids.size() - 1));
}

}  // namespace

TEST_CASE("shares are a softmax over the highest scores", "[model][routed]") {
  // Perplexities 4, 2, 10 and 8.
  const std::vector<double> shares = shares_of({1. / 4, 1. / 2, 1. / 10, 1. / 8}, 2, 1);
  CHECK(shares[0] == Approx(0.4378).margin(5e-5));
  CHECK(shares[1] == Approx(0.5622).margin(5e-5));
  CHECK(shares[2] == 0);
  CHECK(shares[3] == 0);
  CHECK(shares_of({0, 1, 1}, 1, 1) == std::vector<double>{0, 1, 0});  // the first of equal ones
  CHECK(shares_of({0, std::log(3.)}, 2, 1)[1] == Approx(0.75));
  CHECK(shares_of({0, std::log(3.)}, 2, 0.5)[1] == Approx(0.9));
  CHECK(shares_of({1000, 1000}, 2, 1e-3)[0] == 0.5);
}

TEST_CASE("a router by perplexity scores what each member makes of the prompt", "[model][routed]") {
  constexpr double kTemperature = 1e-3;  // perplexities are near 128, the size of the vocabulary
  RoutedModel model = routed_model({.members = 3, .top_k = 3, .temperature = kTemperature});
  for (auto& [unused, weight] : model.weights) weight = 0.2 * weight;
  std::vector<double> scores;
  for (size_t i = 0; i < 3; ++i) scores.push_back(inverse_perplexity(member_of(model, i), kPrompt));
  const std::vector<double> wanted = shares_of(scores, 3, kTemperature);
  const std::vector<double> found = model.architecture->decide(model.weights, kPrompt);
  for (size_t i = 0; i < 3; ++i) CHECK(found[i] == Approx(wanted[i]).epsilon(1e-3));
  CHECK(std::abs(found[0] - found[1]) > 0.01);
  // A token that nothing precedes is not predicted.
  CHECK(model.architecture->decide(model.weights, {3}) == model.architecture->equal_shares());
}

TEST_CASE("a router by gradients finds the member that a step on the prompt leads to",
          "[model][routed]") {
  RoutedModel model =
      routed_model({.members = 3, .router = SequenceRouterKind::kTaskVectorGradient, .top_k = 1});
  // Central differences of the loss in one tensor are the third member's task vector.
  const std::string norm = "model.norm.weight";
  LanguageModel base = member_of(model, 0);
  for (auto& [name, weight] : base.weights) {
    model.weights["router.base." + name] = weight;
    for (const char* member : {"members.0.", "members.1.", "members.2."})
      model.weights[member + name] = weight.clone();
  }
  at::Tensor slope = at::zeros_like(base.weights.at(norm));
  for (int64_t i = 0; i < slope.numel(); ++i) {
    const at::Tensor whole = base.weights.at(norm);
    const auto loss = [&](double change) {
      base.weights[norm] = whole.clone();
      base.weights[norm][i] += change;
      return -std::log(inverse_perplexity(base, kPrompt));
    };
    slope[i] = (loss(0.5) - loss(-0.5));
    base.weights[norm] = whole;
  }
  model.weights["members.1." + norm] += 0.1 * slope;
  model.weights["members.2." + norm] -= 0.1 * slope;
  CHECK(model.architecture->decide(model.weights, kPrompt) == std::vector<double>{0, 0, 1});

  RoutingOptions opposite{
      .members = 3, .router = SequenceRouterKind::kTaskVectorGradient, .top_k = 1, .ascent = true};
  const RoutedArchitecture ascending(routed_member(), opposite);
  CHECK(ascending.decide(model.weights, kPrompt) == std::vector<double>{0, 1, 0});
  // The base itself scores 0: between the two.
  opposite.top_k = 3;
  const std::vector<double> all =
      RoutedArchitecture(routed_member(), opposite).decide(model.weights, kPrompt);
  CHECK(all[0] * all[0] == Approx(all[1] * all[2]).epsilon(1e-6));
}

TEST_CASE("a router by embeddings compares their mean with each member's row", "[model][routed]") {
  RoutedModel model =
      routed_model({.members = 2, .router = SequenceRouterKind::kSequenceEmbedding, .top_k = 2});
  at::Tensor& table = model.weights["router.embedding.weight"];
  table = at::zeros_like(table);
  table[3][0] = 2;  // of the prompt (3, 4): the mean is (1, 1.5, 0, ...)
  table[4][1] = 3;
  at::Tensor& rows = model.weights["router.rows.weight"];
  rows = at::zeros_like(rows);
  rows[0][0] = 5;
  rows[1][1] = 7;
  const double length = std::sqrt(1 + 1.5 * 1.5);
  const std::vector<double> wanted = shares_of({1 / length, 1.5 / length}, 2, 1);
  const std::vector<double> found = model.architecture->decide(model.weights, {3, 4});
  CHECK(found[0] == Approx(wanted[0]).epsilon(1e-6));
}

TEST_CASE("chance chooses by the prompt alone, each member about as often", "[model][routed]") {
  const RoutedModel model =
      routed_model({.members = 3, .router = SequenceRouterKind::kRandom, .top_k = 1});
  std::vector<int> chosen(3, 0);
  for (TokenId i = 0; i < 100; ++i) {
    const std::vector<double> shares = model.architecture->decide(model.weights, {i, 2});
    CHECK(shares == model.architecture->decide(model.weights, {i, 2}));
    for (size_t member = 0; member < 3; ++member) chosen[member] += shares[member] == 1 ? 1 : 0;
  }
  for (const int count : chosen) CHECK(count > 15);
}

TEST_CASE("the members that answer are mixed by their shares", "[model][routed]") {
  const at::Tensor ids = at::tensor({3, 1, 4}, at::kLong).unsqueeze(0);
  for (const auto mix : {RoutingOptions::Mix::kProbabilities, RoutingOptions::Mix::kLogits}) {
    const RoutedModel model = routed_model({.members = 3, .mix = mix});
    const LanguageModel both = model.architecture->mixed(model, {0.25, 0, 0.75});
    const at::Tensor found =
        at::softmax(both.architecture->logits(both.weights, ids), -1, at::kDouble);
    const auto of_member = [&](size_t i) {
      const LanguageModel member = member_of(model, i);
      return at::softmax(member.architecture->logits(member.weights, ids), -1, at::kDouble);
    };
    const at::Tensor wanted =
        mix == RoutingOptions::Mix::kProbabilities
            ? 0.25 * of_member(0) + 0.75 * of_member(2)
            : at::softmax(0.25 * of_member(0).log() + 0.75 * of_member(2).log(), -1);
    CHECK((found - wanted).abs().max().item<double>() < 1e-6);

    const LanguageModel one = model.architecture->mixed(model, {0, 1, 0});
    CHECK(one.architecture->config().at("model_type") == "llama");
    CHECK(at::equal(one.architecture->logits(one.weights, ids),
                    routed_member()->logits(member_of(model, 1).weights, ids)));
  }
}

TEST_CASE("a routed ensemble's config.json is checked", "[model][routed]") {
  const auto make = [](const Json& config) { make_architecture(JsonReader(config, "c.json")); };
  Json config = RoutedArchitecture(routed_member(), {.members = 2}).config();
  CHECK_NOTHROW(make(config));
  config["top_k"] = 3;
  CHECK_THROWS_WITH(make(config), Contains("'top_k' is 3") && Contains("2 members"));
  config["top_k"] = 2;
  config["router"] = "perplexty";
  CHECK_THROWS_WITH(make(config), Contains("perplexity"));
  config["router"] = "uniform";
  config["member"] = {{"model_type", "mlp"}};
  CHECK_THROWS_WITH(make(config), Contains("decoder-only"));
  config.erase("member");
  CHECK_THROWS_WITH(make(config), Contains("member"));
}

namespace {

/// All of a small model but its layers.
const std::vector<std::string> kOutsideOfLayers{"lm_head.weight", "model.embed_tokens.weight",
                                                "model.norm.weight"};

RoutedModel layered(int64_t members, std::vector<std::string> shared = kOutsideOfLayers) {
  return routed_model({.members = members,
                       .top_k = members,
                       .mix = RoutingOptions::Mix::kLayers,
                       .shared = std::move(shared)});
}

}  // namespace

TEST_CASE("layers on one residual stream are summed by their shares", "[model][routed]") {
  // Attention and feed-forward are linear in their last matrices: of members that differ in these
  // alone, the mixture is the model of their weighted means.
  RoutedModel model = layered(2);
  StateDict mean = member_of(model, 0).weights;
  for (auto& [name, weight] : mean) {
    at::Tensor& other = model.weights["members.1." + name];
    if (name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight"))
      weight = 0.25 * weight + 0.75 * other;
    else
      other = weight;
  }
  for (const std::string& name : kOutsideOfLayers) mean[name] = model.weights.at(name);
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5}, at::kLong).unsqueeze(0);
  const LanguageModel both = model.architecture->mixed(model, {0.25, 0.75});
  const at::Tensor wanted = routed_member()->logits(mean, ids);
  const at::Tensor found = both.architecture->logits(both.weights, ids);
  const double range = (wanted.max() - wanted.min()).item<double>();
  CHECK((found - wanted).abs().max().item<double>() < 1e-5 * range);
}

TEST_CASE("each model of a mixture of layers has its own cache", "[model][routed]") {
  const RoutedModel model = layered(3);
  const LanguageModel mixed = model.architecture->mixed(model, {0.2, 0.5, 0.3});
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).unsqueeze(0);
  const at::Tensor whole = mixed.architecture->hidden({}, {ids}, nullptr);
  KvCache cache;
  std::vector<at::Tensor> steps{mixed.architecture->hidden({}, {ids.narrow(1, 0, 2)}, &cache)};
  for (int64_t i = 2; i < 6; ++i)
    steps.push_back(mixed.architecture->hidden({}, {ids.narrow(1, i, 1)}, &cache));
  CHECK(cache.layers.size() == 6);
  CHECK(at::allclose(at::cat(steps, 1), whole, 1e-4, 1e-5));
}

TEST_CASE("the router looks at the members as they came", "[model][routed]") {
  RoutedModel model = layered(2);
  const std::vector<double> before = model.architecture->decide(model.weights, kPrompt);
  model.weights["lm_head.weight"] = -model.weights["lm_head.weight"];
  CHECK(model.architecture->decide(model.weights, kPrompt) == before);

  CHECK_THROWS_WITH(layered(2, {"lm_head.weight", "model.norm.weight"}),
                    Contains("model.embed_tokens.weight"));
  CHECK_THROWS_WITH(layered(2, {"lm_head.wight"}), Contains("no tensor of a member"));
}

// scripts/peers/routed_goldens.py: the paper's formulas over the modules of transformers, float64.
TEST_CASE("routing and mixing of layers are those of the paper", "[model][routed][golden]") {
  const fs::path folder = kGoldens.parent_path() / "routed";
  const OpenModel opened = open_model(folder, {});
  const Json expected = read_json(folder / "expected.json");
  const auto prompt = expected.at("prompt").get<TokenIds>();
  const auto shares = [&](const char* key) { return expected.at(key).get<std::vector<double>>(); };
  const auto check = [](const std::vector<double>& found, const std::vector<double>& wanted) {
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(wanted[i]).epsilon(1e-5));
  };
  Json config = opened.architecture->config();
  const auto routed = [&](const Json& changes) {
    config.update(changes);
    std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "golden"));
    return std::dynamic_pointer_cast<const RoutedArchitecture>(any);
  };
  check(routed(Json::object())->decide(opened.weights, prompt), shares("gradient"));
  check(routed({{"ascent", true}})->decide(opened.weights, prompt), shares("gradient_ascent"));
  const auto by_perplexity = routed({{"router", "perplexity"}, {"ascent", false}});
  check(by_perplexity->decide(opened.weights, prompt), shares("perplexity"));

  const at::Tensor ids = at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end()), at::kLong);
  const at::Tensor logits = by_perplexity->logits(opened.weights, ids.unsqueeze(0))[0];
  const Json& rows = expected.at("logits");
  for (int64_t token = 0; token < logits.size(0); ++token)
    for (int64_t id = 0; id < logits.size(1); ++id)
      CHECK(logits[token][id].item<double>() ==
            Approx(rows[static_cast<size_t>(token)][static_cast<size_t>(id)].get<double>())
                .margin(1e-4));
}
