#include <cmath>

#include "harness/core/error.h"
#include "harness/method/hidden_states.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Two examples of each expert. Block b's states are those of block 0 times b + 1.
class FakeStates : public FakeNetwork, public HiddenStates {
 public:
  FakeStates()
      : FakeNetwork({2, 2}, [](const StateDict&, size_t, int64_t, int64_t) -> at::Tensor {
          throw std::logic_error("no logits");
        }) {}
  std::vector<at::Tensor> states(size_t expert, int64_t first, int64_t count, Tap tap,
                                 Tokens tokens) const override {
    at::Tensor one = embedding_sums(expert, first, count);
    if (tap == Tap::kFeedForwardInput) one = -one;
    if (tokens == Tokens::kLast) one = one * 10 + 1;
    return {one, 2 * one};
  }
  at::Tensor token_counts(size_t, int64_t, int64_t) const override {
    throw std::logic_error("no tokens");
  }
  /// The examples of expert 0 are (4, 0, ...) and (2, 8, 0, ...), of expert 1 (0, 0, 3, 0, ...).
  at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const override {
    at::Tensor all = at::zeros({2, 8}, at::kDouble);
    if (expert == 0) {
      all[0][0] = 4;
      all[1][0] = 2;
      all[1][1] = 8;
    } else {
      all.select(1, 2).fill_(3);
    }
    return all.narrow(0, first, count);
  }
};

at::Tensor gate(const Json& router, int block = 0) {
  static const FakeEvidence evidence = [] {
    FakeEvidence made;
    made.of_network = std::make_shared<FakeStates>();
    return made;
  }();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &evidence;
  return merge("moe", {{"router", router}}, inputs)
      .at(fmt::format("model.layers.{}.block_sparse_moe.gate.weight", block));
}

at::Tensor row(std::vector<float> first) {
  first.resize(8);
  return at::tensor(first);
}

}  // namespace

TEST_CASE("hidden_avg's rows are unit vectors of mean states", "[methods][moe]") {
  // The mean of expert 0's examples is (3, 4, 0, ...).
  for (const int block : {0, 1})
    for (const int batch : {1, 2}) {
      const at::Tensor found = gate({{"router", "hidden_avg"}, {"batch", batch}}, block);
      CHECK(distance(found[0], row({.6f, .8f})) <= 1e-6);
      CHECK(distance(found[1], row({0, 0, 1})) <= 1e-6);
    }
  const at::Tensor other = gate({{"router", "hidden_avg"}, {"tap", "router_input"}});
  CHECK(distance(other[0], row({-.6f, -.8f})) <= 1e-6);
  const at::Tensor last = gate({{"router", "hidden_avg"}, {"tokens", "last"}});
  const double length = std::sqrt(31.0 * 31 + 41 * 41 + 6);
  CHECK(last[0][0].item<double>() == Approx(31 / length));
  CHECK(last[0][7].item<double>() == Approx(1 / length));
}

TEST_CASE("centroid's rows are means, whitened by what differs within experts", "[methods][moe]") {
  // Means (3, 4, 0, ...) and (0, 0, 3, 0, ...), lengths 5 and 3.
  const at::Tensor plain =
      gate({{"router", "centroid"}, {"shrinkage", 1}, {"tap", "block_input"}, {"temperature", 2}});
  CHECK(distance(plain[0] * 2 * std::sqrt(17.0), row({3, 4})) <= 1e-5);
  CHECK(distance(plain[1] * 2 * std::sqrt(17.0), row({0, 0, 3})) <= 1e-5);
  // Examples of expert 0 lie at its mean +-(1, -4): the covariance is half of (1 -4; -4 16), its
  // mean variance 8.5 / 8. Half of each: (0.78125 -1; -1 4.53125) times the row is the mean.
  for (const int batch : {1, 2}) {
    const at::Tensor found = gate({{"router", "centroid"}, {"shrinkage", 0.5}, {"batch", batch}});
    const double first = found[0][0].item<double>();
    CHECK(found[0][1].item<double>() / first == Approx(6.125 / 17.59375).epsilon(1e-4));
    CHECK(found[1][2].item<double>() / first == Approx(0.815276).epsilon(1e-4));
    CHECK(first < 0);  // what a router reads has the other sign here
  }
}

TEST_CASE("logistic learns whose examples they are", "[methods][moe]") {
  const at::Tensor found = gate({{"router", "logistic"}, {"tap", "block_input"}});
  // The examples themselves: (4, 0, ...) and (2, 8, 0, ...) of expert 0, (0, 0, 3, 0, ...) of 1.
  CHECK(distance(found.sum(0), at::zeros({8})) <= 1e-5);  // what all share tells nothing
  CHECK(found[0][0].item<double>() > 0.1);
  CHECK(found[0][1].item<double>() > 0.1);
  CHECK(found[1][2].item<double>() > 0.1);
  CHECK(found[0][5].item<double>() == 0);
  // More decay, smaller gates; with both experts at hand, balance pulls scores together.
  const auto size = [](const char* parameter, double value) {
    return gate({{"router", "logistic"}, {"tap", "block_input"}, {parameter, value}})
        .norm()
        .item<double>();
  };
  CHECK(size("weight_decay", 1) < 0.5 * found.norm().item<double>());
  CHECK(size("balance", 0) != size("balance", 10));
}

TEST_CASE("gates that cannot tell experts apart are refused", "[methods][moe]") {
  struct EqualStates final : FakeStates {
    at::Tensor embedding_sums(size_t, int64_t first, int64_t count) const override {
      return FakeStates::embedding_sums(0, first, count);
    }
  };
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<EqualStates>();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &evidence;
  for (const char* router : {"hidden_avg", "cheap_embed"})
    CHECK_THROWS_WITH(merge("moe", {{"router", router}}, inputs),
                      Contains("experts 0 and 1 the same row") && Contains("gate"));
}

TEST_CASE("gates that are not finite are refused", "[methods][moe]") {
  struct LostStates final : FakeStates {
    at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const override {
      return FakeStates::embedding_sums(expert, first, count) * std::nan("");
    }
  };
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<LostStates>();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &evidence;
  for (const char* router : {"hidden_avg", "cheap_embed"})
    CHECK_THROWS_WITH(
        merge("moe", {{"router", router}}, inputs),
        Contains("layers.0.block_sparse_moe.gate.weight' values that are not finite"));
}

TEST_CASE("a router's temperature divides, and negatives are subtracted", "[methods][moe]") {
  const at::Tensor cool = gate({{"router", "hidden_avg"}, {"temperature", 2}});
  CHECK(distance(cool[0], row({.3f, .4f})) <= 1e-6);
  const at::Tensor away = gate({{"router", "hidden_avg"}, {"negatives", "others"}});
  const auto length = static_cast<float>(std::sqrt(34.0));
  CHECK(distance(away[0], row({3 / length, 4 / length, -3 / length})) <= 1e-6);
  CHECK(distance(away[1], -away[0]) <= 1e-6);
}

TEST_CASE("cheap_embed's rows are unit vectors of summed embeddings", "[methods][moe]") {
  for (const int block : {0, 1}) {
    const at::Tensor found = gate({{"router", "cheap_embed"}, {"batch", 1}}, block);
    CHECK(distance(found[0], row({.6f, .8f})) <= 1e-6);
    CHECK(distance(found[1], row({0, 0, 1})) <= 1e-6);
  }
  // Each side has unit length before it is subtracted.
  const at::Tensor away = gate({{"router", "cheap_embed"}, {"negatives", "others"}});
  const auto half = static_cast<float>(std::sqrt(0.5));
  CHECK(distance(away[0], row({.6f * half, .8f * half, -half})) <= 1e-6);
}

TEST_CASE("a network gives the states of its blocks", "[methods][moe]") {
  const Networks networks = decoders();
  const NetworkEvidence evidence(networks);
  const HiddenStates& hidden = hidden_states(evidence.get().network());
  struct Inputs final : LayerObserver {
    void layer(const LayerInput& input) override {
      if (input.weight == "model.layers.1.mlp.gate_proj.weight")
        rows = counted_rows(input).to(at::kDouble);
    }
    at::Tensor rows;
  } observer;
  const StateDict weights =
      load_weights(*networks.architecture, *networks.base, at::kCPU, at::kFloat);
  const ModelBatch batch = networks.data[2]->batch(1, 1);
  row_logits(*networks.architecture, weights, batch);
  const at::Tensor embeddings =
      weights.at("model.embed_tokens.weight")
          .index_select(0, batch.mask.defined() ? batch.inputs.masked_select(batch.mask)
                                                : batch.inputs.flatten())
          .to(at::kDouble);

  using Tap = HiddenStates::Tap;
  using Tokens = HiddenStates::Tokens;
  // Example 1 alone, and among others, with padding.
  for (const int64_t first : {1, 0}) {
    const int64_t count = 3 - first, own = 1 - first;
    const auto routed = hidden.states(2, first, count, Tap::kFeedForwardInput, Tokens::kAll);
    REQUIRE(routed.size() == 2);
    CHECK(distance(routed[1][own], observer.rows.mean(0)) <= 1e-6);
    const auto last = hidden.states(2, first, count, Tap::kFeedForwardInput, Tokens::kLast);
    CHECK(distance(last[1][own], observer.rows[-1]) <= 1e-6);
    const auto read = hidden.states(2, first, count, Tap::kBlockInput, Tokens::kAll);
    CHECK(distance(read[0][own], embeddings.mean(0)) <= 1e-6);
    CHECK(distance(hidden.embedding_sums(2, first, count)[own], embeddings.sum(0)) <= 1e-6);
    const at::Tensor counts = hidden.token_counts(2, first, count)[own];
    CHECK(counts.sum().item<int64_t>() == embeddings.size(0));
    CHECK(distance(at::mv(weights.at("model.embed_tokens.weight").to(at::kDouble).t(), counts),
                   embeddings.sum(0)) <= 1e-6);
  }
}

TEST_CASE("a network without blocks shows no hidden states", "[methods][moe]") {
  const Networks networks = small_cnns();
  const NetworkEvidence evidence(networks);
  const HiddenStates& hidden = hidden_states(evidence.get().network());
  CHECK_THROWS_WITH(
      hidden.states(0, 0, 1, HiddenStates::Tap::kBlockInput, HiddenStates::Tokens::kAll),
      Contains("'small_cnn' show none"));
  CHECK_THROWS_WITH(hidden.embedding_sums(0, 0, 1), Contains("'small_cnn' have none"));
  const FakeNetwork other({1}, {});
  CHECK_THROWS_AS(hidden_states(other), UserError);
}

TEST_CASE("centroid may have several rows for an expert, which a map leads to it",
          "[methods][moe]") {
  struct Different final : FakeStates {  // the second expert's examples differ, too
    at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const override {
      at::Tensor all = FakeStates::embedding_sums(expert, 0, 2).clone();
      if (expert == 1) all[1][3] = 5;
      return all.narrow(0, first, count);
    }
  };
  FakeEvidence different;
  different.of_network = std::make_shared<Different>();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &different;
  const Json router{
      {"router", "centroid"}, {"centroids", 2}, {"shrinkage", 1}, {"tap", "block_input"}};
  MergeReport report;
  const StateDict mixture = merge("moe", {{"router", router}}, inputs, &report);
  const std::string name = "model.layers.0.block_sparse_moe.gate.";
  CHECK(at::equal(mixture.at(name + "slots"), at::tensor({0.f, 0.f, 1.f, 1.f})));
  CHECK(report.config->at("num_local_experts") == 4);
  CHECK(report.config->at("stored_experts") == 2);
  // Two examples and two centroids: the examples themselves, (4, 0), (2, 8), (0, 0, 3) and
  // (0, 0, 3, 5), of which squared lengths are 16, 68, 9 and 34.
  const at::Tensor rows = mixture.at(name + "weight") * std::sqrt(127 / 4.0);
  CHECK(distance(rows[0], row({4})) <= 1e-4);
  CHECK(distance(rows[1], row({2, 8})) <= 1e-4);
  CHECK(distance(rows[2], row({0, 0, 3})) <= 1e-4);
  CHECK(distance(rows[3], row({0, 0, 3, 5})) <= 1e-4);
  // A token whose two rows are of one expert meets it alone; it runs.
  const auto model = make_architecture(JsonReader(*report.config, "test"));
  const at::Tensor ids = at::tensor({3, 1, 4, 1}, at::kLong).view({1, 4});
  CHECK(model->logits(load_weights(*model, *source("mixture", mixture), at::kCPU), ids)
            .isfinite()
            .all()
            .item<bool>());
  // As many centroids as there are no examples for.
  Json many = router;
  many["centroids"] = 3;
  CHECK_THROWS_WITH(merge("moe", {{"router", many}}, inputs), Contains("3 centroids"));
  CHECK_THROWS_WITH(merge("moe",
                          {{"router", router},
                           {"form", "qwen2_moe"},
                           {"shared_expert", "base"},
                           {"shared_gate", "zero"}},
                          inputs),
                    Contains("several rows"));
}
