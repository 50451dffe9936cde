#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// A network of two layers, "b" after "a" in the order in which they run, on 50 inputs per expert.
struct TwoLayers {
  std::vector<at::Tensor> inputs{noise({50, 4}, 1), noise({50, 4}, 2)};
  std::vector<StateDict> experts;
  std::vector<StateDict> seen;  ///< the weights of every pass over the data
  FakeEvidence evidence;

  /// `blocks`: of "a" and "b"; none: both are outside of blocks.
  explicit TwoLayers(const std::vector<int64_t>& blocks) {
    evidence.layers["a"] = {.weight = "a", .inputs = 4, .depth = 0, .input = "a"};
    evidence.layers["b"] = {.weight = "b", .inputs = 3, .depth = 1, .input = "b"};
    if (!blocks.empty())
      for (const auto& [name, block] : {std::pair("a", blocks[0]), std::pair("b", blocks[1])}) {
        evidence.layers.at(name).block = block;
        evidence.blocks[name] = block;
      }
    if (!blocks.empty()) evidence.blocks["bias"] = blocks[0];
    for (uint64_t i = 0; i < 2; ++i)
      experts.push_back({{"a", noise({3, 4}, 10 + i)},
                         {"b", noise({2, 3}, 20 + i)},
                         {"bias", noise({3}, 30 + i)}});
    auto network = std::make_shared<FakeNetwork>(std::vector<int64_t>{50, 50}, nullptr);
    network->grams = [this](const StateDict& weights, size_t expert,
                            const std::vector<LayerInfo>& layers) {
      seen.push_back(weights);
      StateDict grams;
      for (const LayerInfo& layer : layers)
        grams[layer.input] = gram_of(layer.input == "a" ? inputs[expert] : hidden(weights, expert));
      return grams;
    };
    evidence.of_network = network;
  }
  TwoLayers(const TwoLayers&) = delete;

  at::Tensor hidden(const StateDict& weights, size_t expert) const {
    return at::linear(inputs[expert], weights.at("a"), weights.at("bias")).relu();
  }
  StateDict merged(const Json& parameters) const {
    MergeInputs all;
    all.evidence = &evidence;
    for (const StateDict& expert : experts) all.experts.push_back(source("expert", expert));
    return merge("regmean_plus_plus", parameters, all);
  }
  /// RegMean of one layer with these Gram matrices, in closed form.
  at::Tensor fit(const std::string& name, const std::vector<at::Tensor>& grams) const {
    const at::Tensor right = experts[0].at(name).to(at::kDouble).mm(grams[0]) +
                             experts[1].at(name).to(at::kDouble).mm(grams[1]);
    return right.mm(at::linalg_inv(grams[0] + grams[1]));
  }
};

}  // namespace

TEST_CASE("RegMean++ fits a layer to what the merged layers before it give", "[methods]") {
  const TwoLayers model({0, 1});
  const StateDict merged = model.merged({{"alpha", 1}});

  const at::Tensor a = model.fit("a", {gram_of(model.inputs[0]), gram_of(model.inputs[1])});
  const at::Tensor bias = (model.experts[0].at("bias") + model.experts[1].at("bias")) / 2;
  CHECK(distance(merged.at("a"), a) < 1e-5);
  CHECK(distance(merged.at("bias"), bias) < 1e-6);
  const StateDict before{{"a", a.to(at::kFloat)}, {"bias", bias}};
  CHECK(distance(merged.at("b"), model.fit("b", {gram_of(model.hidden(before, 0)),
                                                 gram_of(model.hidden(before, 1))})) < 1e-4);
  // A pass per block and expert; in its own block an expert has all tensors of its own.
  REQUIRE(model.seen.size() == 4);
  CHECK(at::equal(model.seen[1].at("bias"), model.experts[1].at("bias")));
  CHECK(at::equal(model.seen[3].at("bias"), merged.at("bias")));
  CHECK(at::equal(model.seen[3].at("b"), model.experts[1].at("b")));
}

TEST_CASE("RegMean++ takes an expert's own layers within a block", "[methods]") {
  for (const std::vector<int64_t>& blocks : {std::vector<int64_t>{0, 0}, std::vector<int64_t>{}}) {
    const TwoLayers model(blocks);
    const StateDict merged = model.merged({{"alpha", 1}});
    const auto hidden = [&](size_t expert) {
      return gram_of(model.hidden(blocks.empty() ? merged : model.experts[expert], expert));
    };
    CHECK(distance(merged.at("b"), model.fit("b", {hidden(0), hidden(1)})) < 1e-4);
    CHECK(model.seen.size() == (blocks.empty() ? 4 : 2));
  }
}

TEST_CASE("RegMean++ leaves other tensors to methods without statistics", "[methods]") {
  const TwoLayers model({0, 1});
  const Json linear{{"method", "linear"}, {"weights", {3, 1}}};
  CHECK(distance(model.merged({{"others", linear}}).at("bias"),
                 .75f * model.experts[0].at("bias") + .25f * model.experts[1].at("bias")) < 1e-6);
  CHECK_THROWS_WITH(model.merged({{"others", "fisher"}}),
                    Contains("'others' is fisher") && Contains("statistics"));
}
