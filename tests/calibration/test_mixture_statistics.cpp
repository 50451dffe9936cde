#include <ATen/ATen.h>

#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "harness/model/router_observer.h"
#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("an expert that only padding is sent to has no Gram matrix", "[calibration][experts]") {
  Json config = example_config("mixtral");
  config["vocab_size"] = 32;
  config["num_experts_per_tok"] = 1;
  const auto mixtral = language(config);
  StateDict weights = mixtral->initial_weights(1);
  // Routers of the first block read e1 at tokens and e0 at padding, whose id is 0.
  const std::string block = "model.layers.0.";
  weights[block + "self_attn.o_proj.weight"].zero_();
  at::Tensor& embedding = weights["model.embed_tokens.weight"].zero_();
  embedding.select(1, 1).fill_(1);
  embedding[0].zero_();
  embedding[0][0] = 1;
  at::Tensor& gate = weights[block + "block_sparse_moe.gate.weight"].zero_();
  gate[0][1] = 1;
  gate[2][0] = 1;

  const auto texts = decoders().data.front();  // of several lengths
  const CalibrationData& data = *texts;
  const auto statistic = make_statistic("input_gram", JsonReader(Json::object(), "a test"));
  const StatisticTensors grams = compute_statistic(*statistic, *mixtral, weights, data, 0);

  const auto name = [&](const char* part) {
    return block + "block_sparse_moe." + part + ".weight";
  };
  CHECK(data.batch(0, data.size()).mask.defined());
  CHECK(grams.rows.at(name("experts.0.w1")) == grams.rows.at(name("gate")));
  CHECK(grams.tensors.count(name("experts.1.w1")) == 0);
  CHECK(grams.tensors.count(name("experts.2.w1")) == 0);
}

namespace {

StatisticTensors mixture_statistic(const std::string& name, const Json& parameters,
                                   const Architecture& architecture, const StateDict& weights,
                                   int64_t batch_tokens = kBatchTokens) {
  const auto statistic = make_statistic(name, JsonReader(parameters, "a test"));
  StateDict own;
  for (const auto& [tensor, values] : weights) own[tensor] = values.to(statistic->dtype());
  const auto texts = decoders().data.front();
  return compute_statistic(*statistic, architecture, own, *texts, 0, batch_tokens);
}

/// What the first router of a network saw, without padding.
class FirstRouter final : public RouterObserver {
 public:
  void routed(const RoutedTokens& tokens) override {
    if (x.defined()) return;
    const at::Tensor rows = CountedTokens::current().flatten().nonzero().flatten();
    x = tokens.x.index_select(0, rows);
    logits = tokens.logits.index_select(0, rows);
    experts = tokens.experts.index_select(0, rows);
    weights = tokens.weights.index_select(0, rows);
    outputs = tokens.outputs.index_select(0, rows);
    for (int64_t i = 0; i < logits.size(1); ++i) of_all.push_back(tokens.run(i, x));
  }
  at::Tensor x, logits, experts, weights, outputs;
  std::vector<at::Tensor> of_all;
};

Json tiny_mixtral() {
  Json config = example_config("mixtral");
  config["vocab_size"] = 32;
  return config;
}

StateDict spread_weights(const Architecture& architecture) {
  StateDict weights = architecture.initial_weights(1);
  uint64_t key = 70;
  for (auto& [unused, tensor] : weights) tensor = tensor + .3 * noise(tensor.sizes(), ++key);
  return weights;
}

const std::string kFirst = "model.layers.0.block_sparse_moe.";

}  // namespace

TEST_CASE("the statistic of routing is what routers decided, token by token",
          "[calibration][experts]") {
  const auto mixtral = language(tiny_mixtral());
  const StateDict weights = spread_weights(*mixtral);
  const auto texts = decoders().data.front();
  FirstRouter seen;
  const ModelBatch batch = texts->batch(0, texts->size());
  row_logits(*mixtral, weights, batch);
  const StatisticTensors made =
      mixture_statistic("routing", {{"outputs", true}}, *mixtral, weights);

  const at::Tensor found = made.tensors.at(kFirst + "gate.weight");
  const int64_t tokens = seen.x.size(0), width = seen.x.size(1), experts = 3;
  CHECK(made.rows.at(kFirst + "gate.weight") == tokens);
  REQUIRE(found.sizes() == at::IntArrayRef({experts, 4 + experts + 2 * width}));
  at::Tensor wanted = at::zeros_like(found);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t e = 0; e < experts; ++e) {
      const at::Tensor x = seen.x[t].to(at::kDouble), logits = seen.logits[t].to(at::kDouble);
      wanted[e][3] += logits[e];
      wanted[e].narrow(0, 4, experts) += logits[e] * logits;
      wanted[e].narrow(0, 4 + experts + width, width) += seen.of_all[e][t].to(at::kDouble);
      for (int64_t k = 0; k < 2; ++k)
        if (seen.experts[t][k].item<int64_t>() == e) {
          wanted[e][0] += 1;
          wanted[e][1] += seen.weights[t][k];
          wanted[e][2] += seen.weights[t][k] * seen.outputs[t][k].norm();
          wanted[e].narrow(0, 4 + experts, width) += x;
        }
    }
  CHECK(at::allclose(found, wanted / tokens, 1e-5, 1e-7));
  // Two experts for each token, whose weights sum to one.
  CHECK(found.select(1, 0).sum().item<double>() == Approx(2));
  CHECK(found.select(1, 1).sum().item<double>() == Approx(1));
}

TEST_CASE("the statistic of routing is the same for any batches", "[calibration][experts]") {
  const auto mixtral = language(tiny_mixtral());
  const StateDict weights = spread_weights(*mixtral);
  const Json precise{{"outputs", true}, {"compute", "float64"}};
  const at::Tensor together =
      mixture_statistic("routing", precise, *mixtral, weights).tensors.at(kFirst + "gate.weight");
  const at::Tensor one_by_one = mixture_statistic("routing", precise, *mixtral, weights, 1)
                                    .tensors.at(kFirst + "gate.weight");
  CHECK(at::equal(together.select(1, 0), one_by_one.select(1, 0)));
  CHECK(at::allclose(together, one_by_one, 1e-10, 1e-12));
}

TEST_CASE("the errors of subsets are those of layers that have these experts alone",
          "[calibration][experts]") {
  const auto mixtral = language(tiny_mixtral());
  const StateDict weights = spread_weights(*mixtral);
  const auto texts = decoders().data.front();
  FirstRouter seen;
  row_logits(*mixtral, weights, texts->batch(0, texts->size()));
  const at::Tensor found = mixture_statistic("subset_errors", {{"kept", 2}}, *mixtral, weights)
                               .tensors.at(kFirst + "gate.weight");
  const at::Tensor whole = (seen.outputs * seen.weights.unsqueeze(-1)).sum(1);

  const std::vector<std::vector<int64_t>> subsets{{0, 1}, {0, 2}, {1, 2}};
  REQUIRE(found.numel() == 3);
  for (size_t i = 0; i < subsets.size(); ++i) {
    const at::Tensor of = at::softmax(seen.logits.index_select(1, at::tensor(subsets[i])), 1);
    at::Tensor y = at::zeros_like(whole);
    for (int64_t k = 0; k < 2; ++k)
      y += of.select(1, k).unsqueeze(1) * seen.of_all[static_cast<size_t>(subsets[i][k])];
    const double wanted = (y - whole).square().sum(1).mean().item<double>();
    CHECK(found[static_cast<int64_t>(i)].item<double>() == Approx(wanted).epsilon(1e-4));
  }
  // All experts lose nothing.
  CHECK(mixture_statistic("subset_errors", {{"kept", 3}}, *mixtral, weights)
            .tensors.at(kFirst + "gate.weight")
            .item<double>() < 1e-12);
  CHECK_THROWS_WITH(mixture_statistic("subset_errors", {{"kept", 4}}, *mixtral, weights),
                    Catch::Matchers::Contains("4 of 3 experts cannot be kept"));
}

TEST_CASE("the statistics of mixtures have the same bytes on any number of threads",
          "[calibration][experts]") {
  const auto mixtral = language(tiny_mixtral());
  const StateDict weights = spread_weights(*mixtral);
  for (const auto& [name, parameters] :
       {std::pair<const char*, Json>{"routing", {{"outputs", true}}},
        std::pair<const char*, Json>{"subset_errors", {{"kept", 2}}}}) {
    StateDict first;
    for (const int threads : {1, 2, 4}) {
      const Threads used(threads);
      const StateDict found = mixture_statistic(name, parameters, *mixtral, weights, 4).tensors;
      if (threads == 1) first = found;
      CHECK(same_bytes(found, first));
    }
  }
}
