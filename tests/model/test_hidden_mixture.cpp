// Bodies of any widths and depths between one embedding and one head.
#include "harness/model/hidden_mixture.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/model/batch_norm.h"
#include "harness/model/forward.h"
#include "harness/model/layers_of.h"
#include "harness/model/router_observer.h"
#include "tests/catch.h"
#include "tests/model/routed_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

using Mix = RoutingOptions::Mix;

const at::Tensor kIds = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).view({2, 3});

std::shared_ptr<const LanguageArchitecture> decoder(int64_t width, int64_t layers) {
  Json config = routed_member()->config();
  config["hidden_size"] = width;
  config["num_hidden_layers"] = layers;
  std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "a test"));
  return std::dynamic_pointer_cast<const LanguageArchitecture>(any);
}

/// Two members: widths 8 and 4, 2 layers and 1.
RoutedModel unequal_model(const RoutingOptions& options) {
  auto architecture = std::make_shared<const RoutedArchitecture>(
      MemberArchitectures{decoder(8, 2), decoder(4, 1)}, options);
  StateDict weights = architecture->initial_weights(7);
  for (auto& [name, weight] : weights) weight = 20 * weight;
  return {std::move(architecture), std::move(weights), at::kCPU, nullptr, ""};
}

/// The last hidden states of a body that reads the common embedding through its projector.
at::Tensor body_states(const RoutedModel& model, size_t member, const at::Tensor& ids) {
  StateDict weights = member_of(model, member).weights;
  const std::string projectors = fmt::format("projectors.{}.", member);
  weights["model.embed_tokens.weight"] = at::matmul(model.weights.at("embedding.weight"),
                                                    model.weights.at(projectors + "in.weight").t());
  const auto architecture = member == 0 ? decoder(8, 2) : decoder(4, 1);
  return at::matmul(architecture->hidden(weights, {ids}, nullptr),
                    model.weights.at(projectors + "out.weight").t());
}

double range(const at::Tensor& values) { return (values.max() - values.min()).item<double>(); }

}  // namespace

TEST_CASE("hidden states of bodies of two widths are summed by their shares", "[model][routed]") {
  const RoutedModel model = unequal_model({.mix = Mix::kHidden});
  const LanguageModel both = model.architecture->mixed(model, {0.25, 0.75});
  const at::Tensor found = both.architecture->logits(both.weights, kIds);
  const at::Tensor states = 0.25 * body_states(model, 0, kIds) + 0.75 * body_states(model, 1, kIds);
  const at::Tensor wanted = at::matmul(states, model.weights.at("head.weight").t());
  CHECK((found - wanted).abs().max().item<double>() < 1e-5 * range(wanted));
  CHECK(both.architecture->members() == 2);
}

TEST_CASE("a body between its own embedding and head is the model", "[model][routed]") {
  RoutedModel model = routed_model({.members = 1, .top_k = 1, .mix = Mix::kHidden});
  const LanguageModel dense = member_of(model, 0);
  model.weights["embedding.weight"] = dense.weights.at("model.embed_tokens.weight");
  model.weights["head.weight"] = dense.weights.at("lm_head.weight");
  for (const char* end : {"in", "out"})
    model.weights[fmt::format("projectors.0.{}.weight", end)] = at::eye(8);
  const at::Tensor wanted = dense.architecture->logits(dense.weights, kIds);
  const at::Tensor found = model.architecture->logits(model.weights, kIds);
  CHECK((found - wanted).abs().max().item<double>() < 1e-6 * range(wanted));
}

TEST_CASE("each body has its own cache", "[model][routed]") {
  const RoutedModel model = unequal_model({.mix = Mix::kHidden});
  const LanguageModel mixed = model.architecture->mixed(model, {0.4, 0.6});
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).unsqueeze(0);
  const at::Tensor whole = mixed.architecture->hidden({}, {ids}, nullptr);
  KvCache cache;
  std::vector<at::Tensor> steps{mixed.architecture->hidden({}, {ids.narrow(1, 0, 2)}, &cache)};
  for (int64_t i = 2; i < 6; ++i)
    steps.push_back(mixed.architecture->hidden({}, {ids.narrow(1, i, 1)}, &cache));
  CHECK(cache.layers.size() == 3);
  CHECK(cache.tokens() == 6);
  CHECK(at::allclose(at::cat(steps, 1), whole, 1e-4, 1e-5));
  CHECK_THROWS_WITH(mixed.architecture->hidden({}, {at::full({1, 1}, 128, at::kLong)}, &cache),
                    Contains("128 tokens"));
}

TEST_CASE("members of a routed ensemble may differ, each has its own config", "[model][routed]") {
  const RoutedModel model = unequal_model({.mix = Mix::kHidden});
  const Json config = model.architecture->config();
  REQUIRE(config.at("member").size() == 2);
  CHECK(config.at("member")[1].at("hidden_size") == 4);
  const auto read = make_architecture(JsonReader(config, "test"));
  const auto wanted = model.architecture->tensors();
  const auto found = read->tensors();
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].name == wanted[i].name);
    CHECK(found[i].shape == wanted[i].shape);
    if (found[i].name == "embedding.weight") CHECK(found[i].shape == std::vector<int64_t>{128, 8});
    if (found[i].name == "projectors.1.in.weight")
      CHECK(found[i].shape == std::vector<int64_t>{4, 8});
  }
  // Members of one form have one config, as in folders that were written before.
  CHECK(routed_model({.mix = Mix::kHidden}).architecture->config().at("member").is_object());

  Json one_too_many = config;
  one_too_many["members"] = 3;
  CHECK_THROWS_WITH(make_architecture(JsonReader(one_too_many, "test")),
                    Contains("3 members") && Contains("found 2"));
  Json other = config;
  other["member"][1]["vocab_size"] = 64;
  CHECK_THROWS_WITH(make_architecture(JsonReader(other, "test")),
                    Contains("128") && Contains("64"));
  CHECK_THROWS_WITH(unequal_model({.router = SequenceRouterKind::kTaskVectorGradient}),
                    Contains("task vectors"));
  CHECK_THROWS_WITH(unequal_model({.mix = Mix::kLayers}), Contains("differ in their tensors"));
  CHECK_THROWS_WITH(routed_model({.mix = Mix::kHidden, .shared = {"lm_head.weight"}}),
                    Contains("shared"));
}

TEST_CASE("logits of models of two widths are mixed by the perplexity of the prompt",
          "[model][routed]") {
  const RoutedModel model = unequal_model({.top_k = 1, .mix = Mix::kLogits});
  for (size_t member = 0; member < 2; ++member) {
    const auto architecture = member == 0 ? decoder(8, 2) : decoder(4, 1);
    const StateDict weights = member_of(model, member).weights;
    TokenIds text{3};  // what this member itself goes on with
    while (text.size() < 12) {
      const std::vector<int64_t> ids(text.begin(), text.end());
      const at::Tensor logits =
          architecture->logits(weights, at::tensor(ids, at::kLong).unsqueeze(0));
      text.push_back(static_cast<TokenId>(logits[0][-1].argmax().item<int64_t>()));
    }
    const std::vector<double> shares = model.architecture->decide(model.weights, text);
    CHECK(shares.at(member) == 1);
    const std::vector<int64_t> ids(text.begin(), text.end());
    const at::Tensor row = at::tensor(ids, at::kLong).unsqueeze(0);
    CHECK(at::equal(model.architecture->logits(model.weights, row),
                    architecture->logits(weights, row)));
  }
}

TEST_CASE("an observer sees what is decided about each prompt", "[model][routed]") {
  class Decisions final : public RouterObserver {
   public:
    void decided(const std::vector<double>& shares) override { all.push_back(shares); }
    std::vector<std::vector<double>> all;
  };
  const RoutedModel model =
      routed_model({.members = 3, .router = SequenceRouterKind::kRandom, .top_k = 1});
  const Decisions decisions;
  const std::vector<double> first = model.architecture->decide(model.weights, {1, 2});
  const std::vector<double> second = model.architecture->decide(model.weights, {3, 4});
  CHECK(decisions.all == std::vector<std::vector<double>>{first, second});
}

TEST_CASE("rows of a batch are answered as each one's prompt decides, with gradients",
          "[model][routed]") {
  RoutedModel model = unequal_model(
      {.router = SequenceRouterKind::kRandom, .top_k = 1, .mix = Mix::kHidden, .opening = 2});
  for (auto& [name, weight] : model.weights) weight.set_requires_grad(true);
  // Six rows of five tokens, the last of every second one is padding; the third and later tokens
  // are predicted.
  const at::Tensor ids = at::arange(30, at::kLong).view({6, 5});
  ModelBatch batch{ids, at::ones({6, 5}, at::kBool)};
  batch.scored = at::zeros({6, 5}, at::kBool);
  batch.scored.narrow(1, 1, 3).fill_(true);
  for (int64_t row = 1; row < 6; row += 2) {
    batch.mask[row][4] = false;
    batch.scored[row][3] = false;
  }
  const at::Tensor rows = row_logits(*model.architecture, model.weights, batch);
  REQUIRE(rows.sizes() == at::IntArrayRef{15, 128});
  int64_t place = 0;
  std::vector<int64_t> chosen(2, 0);
  for (int64_t row = 0; row < 6; ++row) {
    const int64_t tokens = row % 2 == 0 ? 5 : 4;
    const std::vector<double> shares = model.architecture->decide(
        model.weights, {static_cast<TokenId>(5 * row), static_cast<TokenId>(5 * row + 1)});
    ++chosen.at(shares[0] == 1 ? 0 : 1);
    const LanguageModel alone = model.architecture->mixed(model, shares);
    const at::Tensor wanted =
        alone.architecture->logits(alone.weights, ids[row].narrow(0, 0, tokens).unsqueeze(0))[0];
    for (int64_t token = 1; token + 1 < tokens; ++token, ++place)
      CHECK(at::allclose(rows[place], wanted[token], 1e-4, 1e-5));
  }
  CHECK(place == 15);
  REQUIRE(*std::min_element(chosen.begin(), chosen.end()) > 0);
  rows.sum().backward();
  for (const char* name : {"embedding.weight", "head.weight", "projectors.0.in.weight",
                           "projectors.1.out.weight", "members.1.model.norm.weight"})
    CHECK(model.weights.at(name).grad().defined());
  CHECK_FALSE(model.weights.at("members.0.lm_head.weight").grad().defined());

  CHECK(batch_norms_of(*model.architecture).empty());
  CHECK_THROWS_WITH(layers_of(*model.architecture), Contains("its members have them"));
}
