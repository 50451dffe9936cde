#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/model/language.h"
#include "harness/model/observer.h"
#include "methods/moe/expert_groups.h"
#include "methods/moe/expert_merge.h"
#include "methods/moe/expert_similarity.h"
#include "methods/moe/routing.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kMixture = "model.layers.1.block_sparse_moe.";

std::string expert_tensor(int64_t expert, const char* part, const std::string& block = kMixture) {
  return fmt::format("{}experts.{}.{}.weight", block, expert, part);
}

at::Tensor scores(const Json& config, const StateDict& weights) {
  const auto model = make_architecture(JsonReader(config, "test"));
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});
  return model->logits(load_weights(*model, *source("model", weights), at::kCPU), ids);
}

class Watching final : public LayerObserver {
 public:
  void layer(const LayerInput& /*input*/) override {}
};

/// Usages, and logits that are orthogonal but for pairs (0, 1), (2, 3) and (4, 5).
FakeEvidence pairs(const std::vector<double>& usages) {
  FakeEvidence evidence;
  StateDict& routing = evidence.statistics["routing"].emplace_back();
  at::Tensor logits = at::eye(6, at::kDouble);
  for (int64_t i = 0; i < 6; i += 2) logits[i][i + 1] = logits[i + 1][i] = 0.9;
  at::Tensor scalars = at::ones({6, 4}, at::kDouble);
  scalars.select(1, 0).copy_(at::tensor(usages, at::kDouble));
  for (int64_t i = 0; i < 2; ++i)
    routing[fmt::format("model.layers.{}.block_sparse_moe.gate.weight", i)] =
        at::cat({scalars, logits, noise({6, 8}, 5 + static_cast<uint64_t>(i)).to(at::kDouble)}, 1);
  const auto network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{50}, [](const StateDict&, size_t, int64_t, int64_t count) {
        return at::zeros({count, 2});
      });
  network->observed = [](const StateDict&, size_t, int64_t first, int64_t count,
                         const SeeLayer& see) {
    for (uint64_t i = 0; i < 2; ++i)
      see(fmt::format("model.layers.{}.block_sparse_moe.gate.weight", i), [&](LayerValue) {
        return noise({50, 8}, 90 + i).narrow(0, first, count);
      });
  };
  evidence.of_network = network;
  return evidence;
}

MergeInputs mixture_inputs(const StateDict& model, const Evidence* evidence) {
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = small_mixtral_config();
  inputs.experts = {source("mixture", model)};
  inputs.evidence = evidence;
  return inputs;
}

const std::vector<double> kUsages{4, 1, 2, 2, 0.5, 0.5};

}  // namespace

TEST_CASE("groups of layers are those of the published example", "[methods][moe]") {
  const std::vector<std::vector<double>> usages{{.7, .1, .1, .1}, {.3, .3, .2, .2}};
  CHECK(allocate_groups(usages, 2, UsageTies::kStrict) == std::vector<int64_t>{1, 2});
  CHECK(allocate_groups(usages, 2, UsageTies::kFill) == std::vector<int64_t>{1, 3});
  CHECK(allocate_groups(usages, 4, UsageTies::kFill) == std::vector<int64_t>{4, 4});
  CHECK(allocate_groups(usages, 1, UsageTies::kFill) == std::vector<int64_t>{1, 1});
  // All that are left out are used as much as the last one that is kept.
  CHECK_THROWS_AS(allocate_groups({{1, 1}, {1, 1}}, 1, UsageTies::kStrict), SkipCell);
}

TEST_CASE("experts join the most alike of those that are used most", "[methods][moe]") {
  const at::Tensor alike =
      at::tensor({1., .1, .9, .2, .1, 1., .3, .8, .9, .3, 1., .4, .2, .8, .4, 1.}, at::kDouble)
          .view({4, 4});
  CHECK(group_by_usage({.4, .3, .1, .2}, alike, 2, 0) == ExpertGroups{{0, 2}, {1, 3}});
  CHECK(group_by_usage({.1, .2, .3, .4}, alike, 2, 0) == ExpertGroups{{3, 1}, {2, 0}});
  CHECK(group_by_usage({.4, .3, .2, .1}, alike, 1, 0) == ExpertGroups{{0, 1, 2, 3}});
  // 2 would join 0 as 3 does, but is used less and finds the group full.
  const at::Tensor all_like_0 =
      at::zeros({4, 4}, at::kDouble).index_fill(1, at::tensor({0}, at::kLong), 1);
  CHECK(group_by_usage({.4, .3, .1, .2}, all_like_0, 2, 2) == ExpertGroups{{0, 3}, {1, 2}});
  CHECK_THROWS_WITH(group_by_usage({.4, .3, .1, .2}, alike, 1, 3), Contains("do not hold 4"));
}

TEST_CASE("average linkage and k-means find planted groups", "[methods][moe]") {
  const at::Tensor points = at::tensor({0., 5., .1, 5.2, 9., 5.1}, at::kDouble).view({6, 1});
  const at::Tensor products = points.mm(points.t());
  const ExpertGroups wanted{{0, 2}, {1, 3, 5}, {4}};
  CHECK(group_by_linkage(minus_distances(products), 3) == wanted);
  size_t found = 0;
  for (uint64_t key = 0; key < 20; ++key) found += group_by_means(products, 3, key) == wanted;
  CHECK(found >= 15);  // k-means may start in one group twice
  CHECK(group_by_means(at::zeros({4, 4}, at::kDouble), 3, 1).size() == 3);
}

TEST_CASE("similarities of vectors come from their products", "[methods][moe]") {
  const at::Tensor vectors = at::tensor({3., 0., 0., 4., 0., 0.}, at::kDouble).view({3, 2});
  const at::Tensor products = vectors.mm(vectors.t());
  CHECK(at::allclose(cosines(products), at::diag(at::tensor({1., 1., 0.}, at::kDouble))));
  CHECK(minus_distances(products)[0][1].item<double>() == Approx(-5));
}

TEST_CASE("the entropy of usages is 1 where all experts are used alike", "[methods][moe]") {
  CHECK(usage_entropy({.25, .25, .25, .25}) == Approx(1));
  CHECK(usage_entropy({1, 0, 0, 0}) == 0);
  CHECK(usage_entropy({.5, .5, 0, 0}) == Approx(.5));
}

TEST_CASE("a constant in the mean's denominator shrinks experts that are used little",
          "[methods][moe]") {
  const Matrices one{at::ones({2, 2}, at::kDouble)};
  const auto factor = [&](double usage, double epsilon) {
    return weighted_mean({one, one}, {usage / 2, usage / 2}, epsilon)[0][0][0].item<double>();
  };
  CHECK(factor(1.0 / 512, 0) == Approx(1));
  CHECK(factor(1.0 / 512, 1e-3) == Approx(0.6614).epsilon(1e-3));
  CHECK(factor(2.0 / 512, 1e-3) == Approx(0.7962).epsilon(1e-3));
  // Experts that no token was sent to are merged alike.
  const Matrices three{at::full({2, 2}, 3, at::kDouble)};
  CHECK(weighted_mean({one, three}, {0, 0}, 1e-3)[0][0][0].item<double>() == Approx(2));
}

TEST_CASE("the mean in the whole joint subspace is the weighted mean", "[methods][moe]") {
  std::vector<Matrices> experts;
  for (uint64_t i = 0; i < 3; ++i)
    experts.push_back({noise({5, 3}, i).to(at::kDouble), noise({4, 7}, 9 + i).to(at::kDouble)});
  const std::vector<double> weights{.5, .2, .3};
  const Matrices mean = weighted_mean(experts, weights);
  const Matrices whole = subspace_mean(experts, weights, 1),
                 half = subspace_mean(experts, weights, .5);
  for (size_t p = 0; p < 2; ++p) {
    CHECK(at::allclose(whole[p], mean[p], 1e-10, 1e-12));
    CHECK_FALSE(at::allclose(half[p], mean[p], 1e-2, 1e-2));
  }
  CHECK(at::linalg_matrix_rank(half[1]).item<int64_t>() == 2);  // of 4
}

TEST_CASE("experts that are equal but for the order of units are merged to themselves",
          "[methods][moe]") {
  const std::vector<ExpertPart> parts{
      {"w1", false, true}, {"w2", true, false}, {"w3", false, false}};
  const MixtureLayer layer{"gate", parts, {}, ""};
  const Matrices expert{noise({6, 4}, 1).to(at::kDouble), noise({4, 6}, 2).to(at::kDouble),
                        noise({6, 4}, 3).to(at::kDouble)};
  const std::vector<int64_t> planted{3, 0, 5, 1, 4, 2};
  Matrices other = in_order(layer, expert, planted);
  for (size_t p = 0; p < 3; ++p)
    other[p] = other[p] + 0.01 * noise(other[p].sizes(), 4 + p).to(at::kDouble);
  const at::Tensor x = noise({7, 4}, 8).to(at::kDouble);
  CHECK(at::allclose(hidden_units(layer, in_order(layer, expert, planted), x)
                         .mm(in_order(layer, expert, planted)[1].t()),
                     hidden_units(layer, expert, x).mm(expert[1].t())));

  const Matrices back = in_order(layer, other, unit_order(layer, expert, other));
  for (size_t p = 0; p < 3; ++p) CHECK(distance(back[p], expert[p]) <= 0.011);
}

TEST_CASE("ZipIt of one expert with itself is that expert", "[methods][moe]") {
  const std::vector<ExpertPart> parts{
      {"w1", false, true}, {"w2", true, false}, {"w3", false, false}};
  const MixtureLayer layer{"gate", parts, {}, ""};
  const Matrices expert{noise({6, 4}, 1).to(at::kDouble), noise({4, 6}, 2).to(at::kDouble),
                        noise({6, 4}, 3).to(at::kDouble)};
  const Matrices other = in_order(layer, expert, {3, 0, 5, 1, 4, 2});
  const at::Tensor x = noise({50, 4}, 8).to(at::kDouble);
  UnitMoments moments;
  moments.add(at::cat({hidden_units(layer, expert, x), hidden_units(layer, other, x)}, 1));

  const Matrices zipped = zip_mean(layer, {expert, other}, {.3, .1}, moments.correlations(), 0.1);
  CHECK(at::allclose(hidden_units(layer, zipped, x).mm(zipped[1].t()),
                     hidden_units(layer, expert, x).mm(expert[1].t()), 1e-9, 1e-12));
}

TEST_CASE("a fitted output matrix gives what is to be given", "[methods][moe]") {
  const at::Tensor units = noise({40, 5}, 1).to(at::kDouble);
  const at::Tensor wanted = noise({3, 5}, 2).to(at::kDouble),
                   start = noise({3, 5}, 3).to(at::kDouble);
  OutputFit fit;
  fit.add(units.narrow(0, 0, 15), units.narrow(0, 0, 15).mm(wanted.t()));
  fit.add(units.narrow(0, 15, 25), units.narrow(0, 15, 25).mm(wanted.t()));
  CHECK(distance(fit.solve(start, 0), wanted) <= 1e-9);
  CHECK(distance(fit.solve(start, 1e9), start) <= 1e-6);
  // Units that nothing reaches stay as they are.
  OutputFit dead;
  dead.add(at::zeros({4, 5}, at::kDouble), at::zeros({4, 3}, at::kDouble));
  CHECK(at::equal(dead.solve(start, 1e-6), start));
}

TEST_CASE("a mixture of equal experts stays the function that it is, however it is merged",
          "[methods][moe]") {
  StateDict model = small_model(1, small_mixtral_config());
  for (int64_t block = 0; block < 2; ++block)
    for (int64_t i = 1; i < 6; ++i)
      for (const char* part : {"w1", "w2", "w3"}) {
        const std::string prefix = fmt::format("model.layers.{}.block_sparse_moe.", block);
        model[expert_tensor(i, part, prefix)] = model.at(expert_tensor(0, part, prefix));
      }
  const at::Tensor before = scores(small_mixtral_config(), model);
  const FakeEvidence evidence = pairs(kUsages);
  std::vector<std::string> refs{"merge_experts"};
  for (const Preset& preset : methods().at("merge_experts", "test").presets)
    if (preset.name != "hc_smoe" && preset.name != "sub_moe")  // which read outputs
      refs.push_back(fmt::format("merge_experts@{}", preset.name));
  for (const std::string& ref : refs)
    for (const int64_t left : {1, 2, 5}) {
      CAPTURE(ref, left);
      // Zipping many networks, which multiplies similarities by alpha, may prefer other units.
      if (ref.ends_with("zip") && left < 5) continue;
      const StateDict merged = merge(ref, {{"experts", left}}, mixture_inputs(model, &evidence));
      CHECK(at::allclose(scores(small_mixtral_config(), merged), before, 1e-4, 1e-5));
    }
}

TEST_CASE("M-SMoE merges pairs whose logits are alike, by usage", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = pairs(kUsages);
  MergeReport report;
  const StateDict merged =
      merge("merge_experts", {{"experts", 3}, {"allocation", "uniform"}, {"alignment", "none"}},
            mixture_inputs(model, &evidence), &report);
  // Those used most are 0, 2 and 3; 1 goes with 0, and 4 and 5 are like none: the first.
  for (const char* part : {"w1", "w2", "w3"}) {
    const auto of = [&](int64_t i) { return model.at(expert_tensor(i, part)); };
    const at::Tensor wanted = (4 * of(0) + of(1) + .5 * of(4) + .5 * of(5)) / 6;
    for (const int64_t i : {0, 1, 4, 5})
      CHECK(distance(merged.at(expert_tensor(i, part)), wanted) <= 1e-6);
    for (const int64_t i : {2, 3}) CHECK(at::equal(merged.at(expert_tensor(i, part)), of(i)));
  }
  CHECK(at::equal(merged.at(kMixture + "gate.weight"), model.at(kMixture + "gate.weight")));
  CHECK(report.config->at("num_local_experts") == 6);
  CHECK(report.diagnostics.at("experts_left") == 3);
}

TEST_CASE("matching units changes what is merged, not what an expert of its own does",
          "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = pairs(kUsages);
  const Json all{{"experts", 6}, {"allocation", "uniform"}};
  CHECK(same_bytes(merge("merge_experts", all, mixture_inputs(model, &evidence)), model));
}

TEST_CASE("a refitted mixture gives more nearly what the experts gave", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = pairs(kUsages);
  const MixtureLayer layer{
      "gate", {{"w1", false, true}, {"w2", true, false}, {"w3", false, false}}, {}, ""};
  const auto of = [&](const StateDict& weights, int64_t i) {
    Matrices parts;
    for (const char* part : {"w1", "w2", "w3"})
      parts.push_back(weights.at(expert_tensor(i, part)).to(at::kDouble));
    return parts;
  };
  const at::Tensor x = noise({50, 8}, 91).to(at::kDouble);
  const auto output = [&](const Matrices& parts) {
    return hidden_units(layer, parts, x).mm(parts[1].t());
  };
  at::Tensor wanted = at::zeros_like(x);
  for (int64_t i = 0; i < 6; ++i)
    wanted += output(of(model, i)) * kUsages[static_cast<size_t>(i)] / 10;
  const auto error = [&](bool refit) {
    const Json parameters{{"experts", 1}, {"allocation", "uniform"}, {"refit", refit}};
    const StateDict merged = merge("merge_experts", parameters, mixture_inputs(model, &evidence));
    return (output(of(merged, 3)) - wanted).square().sum().item<double>();
  };
  CHECK(error(true) < error(false));
}

TEST_CASE("the compact form is the same function, with every expert stored once",
          "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = pairs(kUsages);
  const MergeInputs inputs = mixture_inputs(model, &evidence);
  for (const int64_t left : {1, 3, 4, 6}) {
    CAPTURE(left);
    Json parameters{{"experts", left}, {"allocation", "uniform"}, {"refit", true}};
    const StateDict copies = merge("merge_experts", parameters, inputs);
    parameters["store"] = "compact";
    MergeReport report;
    const StateDict compact = merge("merge_experts", parameters, inputs, &report);
    CHECK(report.config->at("stored_experts") == left);
    CHECK(compact.count(expert_tensor(left, "w1")) == 0);
    const at::Tensor slots = compact.at(kMixture + "gate.slots");
    REQUIRE(slots.numel() == 6);
    for (int64_t i = 0; i < 6; ++i)
      CHECK(at::equal(compact.at(expert_tensor(slots[i].item<int64_t>(), "w2")),
                      copies.at(expert_tensor(i, "w2"))));
    const at::Tensor wanted = scores(small_mixtral_config(), copies);
    CHECK(at::allclose(scores(*report.config, compact), wanted, 1e-5, 1e-6));
    const Watching observer;  // the experts then run for each row of the router
    CHECK(at::allclose(scores(*report.config, compact), wanted, 1e-5, 1e-6));
  }
  MergeReport report;
  const Json parameters{{"experts", 3}, {"allocation", "uniform"}, {"store", "compact"}};
  StateDict compact = merge("merge_experts", parameters, inputs, &report);
  MergeInputs again = mixture_inputs(compact, &evidence);
  again.config = *report.config;
  CHECK_THROWS_WITH(merge("merge_experts", parameters, again), Contains("not merged again"));
  compact[kMixture + "gate.slots"][2] = 3;
  CHECK_THROWS_WITH(scores(*report.config, compact), Contains("others than the 3"));
  Json config = *report.config;
  config["stored_experts"] = 7;
  CHECK_THROWS_WITH(make_architecture(JsonReader(config, "test")),
                    Contains("stored_experts: expected a whole number of 1 to 6"));
  config["stored_experts"] = {3, 3, 3};
  CHECK_THROWS_WITH(make_architecture(JsonReader(config, "test")), Contains("at most 2 blocks"));
}

TEST_CASE("layers of the compact form may store different numbers of experts", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  // Four of six usages that are above those of the other layer, and one that each keeps.
  FakeEvidence evidence = pairs(kUsages);
  StateDict& routing = evidence.statistics["routing"].front();
  const std::string first = "model.layers.0.block_sparse_moe.gate.weight",
                    second = "model.layers.1.block_sparse_moe.gate.weight";
  evidence.blocks = {{first, 0}, {second, 1}};
  routing.at(first).select(1, 0).copy_(at::tensor({5., 4., 3., 2., 1., 1.}, at::kDouble));
  routing.at(second).select(1, 0).copy_(at::tensor({9., .1, .1, .1, .1, .1}, at::kDouble));
  const MergeInputs inputs = mixture_inputs(model, &evidence);
  Json parameters{{"experts", 3}};
  const StateDict copies = merge("merge_experts", parameters, inputs);
  parameters["store"] = "compact";
  MergeReport report;
  const StateDict compact = merge("merge_experts", parameters, inputs, &report);
  CHECK(report.config->at("stored_experts") == Json({5, 1}));
  CHECK(compact.contains(expert_tensor(4, "w1", "model.layers.0.block_sparse_moe.")));
  CHECK_FALSE(compact.contains(expert_tensor(5, "w1", "model.layers.0.block_sparse_moe.")));
  CHECK_FALSE(compact.contains(expert_tensor(1, "w1")));
  const at::Tensor wanted = scores(small_mixtral_config(), copies);
  CHECK(distance(scores(*report.config, compact), wanted) <=
        1e-6 * wanted.abs().max().item<double>());
}

TEST_CASE("the compact form of every family is the same function", "[methods][moe]") {
  const Json deepseek{
      {"model_type", "deepseek"},   {"vocab_size", 16},       {"hidden_size", 8},
      {"intermediate_size", 12},    {"num_hidden_layers", 2}, {"num_attention_heads", 2},
      {"num_key_value_heads", 1},   {"rms_norm_eps", 1e-6},   {"n_routed_experts", 4},
      {"num_experts_per_tok", 2},   {"n_shared_experts", 1},  {"moe_intermediate_size", 4},
      {"first_k_dense_replace", 1}, {"norm_topk_prob", false}};
  Json olmoe = small_llama_config();
  olmoe["model_type"] = "olmoe";
  olmoe["num_experts"] = 4;
  olmoe["num_experts_per_tok"] = 2;
  const Json switch_transformers{{"model_type", "switch_transformers"},
                                 {"vocab_size", 16},
                                 {"d_model", 8},
                                 {"d_ff", 12},
                                 {"num_heads", 2},
                                 {"d_kv", 4},
                                 {"num_layers", 2},
                                 {"num_sparse_encoder_layers", 1},
                                 {"num_decoder_layers", 2},
                                 {"num_sparse_decoder_layers", 1},
                                 {"num_experts", 4},
                                 {"expert_capacity", 2}};
  const Json parameters{{"experts", 2},
                        {"allocation", "uniform"},
                        {"grouping", "linkage"},
                        {"similarity", "expert_weight"},
                        {"merge", "uniform"}};
  for (const Json& config : {deepseek, olmoe, switch_transformers}) {
    CAPTURE(config.at("model_type"));
    const StateDict model = small_model(1, config);
    MergeInputs inputs = mixture_inputs(model, nullptr);
    inputs.config = config;
    const StateDict copies = merge("merge_experts", parameters, inputs);
    Json stored = parameters;
    stored["store"] = "compact";
    MergeReport report;
    const StateDict compact = merge("merge_experts", stored, inputs, &report);
    CHECK(report.config->at("stored_experts") == 2);
    CHECK(compact.size() < copies.size());
    CHECK(at::allclose(scores(*report.config, compact), scores(config, copies), 1e-5, 1e-6));
  }
}

TEST_CASE("a router that saw no token used no expert", "[methods][moe]") {
  const auto statistic = source("statistic", {{"router", at::zeros({2, 9}, at::kDouble)}});
  const Routing routing = read_routing(*statistic, "router", false);
  CHECK(routing.usage == std::vector<double>{0, 0});
  CHECK(routing.saliency == std::vector<double>{0, 0});
}

TEST_CASE("pruning leaves experts and their rows of the router", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  FakeEvidence evidence = pairs(kUsages);
  MergeReport report;
  const StateDict pruned =
      merge("prune_experts", {{"experts", 4}}, mixture_inputs(model, &evidence), &report);
  const std::vector<int64_t> left{0, 1, 2, 3};
  const at::Tensor router = model.at(kMixture + "gate.weight");
  CHECK(at::equal(pruned.at(kMixture + "gate.weight"), router.narrow(0, 0, 4)));
  CHECK(report.config->at("num_local_experts") == 4);
  CHECK(pruned.count(expert_tensor(4, "w1")) == 0);
  CHECK(scores(*report.config, pruned).isfinite().all().item<bool>());

  // The last subset of four of six, in lexicographic order: 2, 3, 4 and 5.
  StateDict& errors = evidence.statistics["subset_errors"].emplace_back();
  for (int64_t i = 0; i < 2; ++i)
    errors[fmt::format("model.layers.{}.block_sparse_moe.gate.weight", i)] =
        -at::arange(15, at::kDouble);
  const StateDict by_errors =
      merge("prune_experts@naee", Json::object(), mixture_inputs(model, &evidence));
  CHECK(at::equal(by_errors.at(kMixture + "gate.weight"), router.narrow(0, 2, 4)));
  for (int64_t i = 0; i < 4; ++i)
    for (const char* part : {"w1", "w2", "w3"})
      CHECK(at::equal(by_errors.at(expert_tensor(i, part)), model.at(expert_tensor(i + 2, part))));
  CHECK(at::equal(by_errors.at("lm_head.weight"), model.at("lm_head.weight")));
}

TEST_CASE("merging experts says what it cannot do", "[methods][moe]") {
  const FakeEvidence evidence = pairs(kUsages);
  MergeInputs dense = small_models(1);
  dense.base = nullptr;
  dense.evidence = &evidence;
  CHECK_THROWS_WITH(merge("merge_experts", Json::object(), dense), Contains("this model is none"));
  const StateDict model = small_model(1, small_mixtral_config());
  const MergeInputs inputs = mixture_inputs(model, &evidence);
  CHECK_THROWS_WITH(merge("merge_experts", {{"experts", 7}}, inputs),
                    Contains("layers that have 6"));
  CHECK_THROWS_WITH(merge("prune_experts", {{"experts", 1}}, inputs),
                    Contains("send a token to 2"));
  CHECK_THROWS_WITH(merge("prune_experts", {{"by", "subset_errors"}}, inputs),
                    Contains("is to be a number"));
  CHECK_THROWS_WITH(merge("merge_experts", {{"refit", true}, {"merge", "zip"}}, inputs),
                    Contains("'refit' goes with"));
  Json many = small_mixtral_config();
  many["num_local_experts"] = 40;
  MergeInputs of_many = mixture_inputs(small_model(1, many), &evidence);
  of_many.config = many;
  CHECK_THROWS_WITH(merge("prune_experts", {{"by", "subset_errors"}, {"experts", 20}}, of_many),
                    Contains("too many to try"));
}
