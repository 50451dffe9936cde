// Mistakes of published code that are known to change results, by their numbers. Those that
// another test finds have the tag [pitfall-N] there.

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/merge/request/reconcile.h"
#include "harness/method/configuration.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("pitfall 1: at density 1 nothing is trimmed, and a density below one entry keeps one",
          "[methods][pitfall-1]") {
  const at::Tensor base = at::zeros({4}), delta = at::tensor({.1f, -.4f, .2f, .3f});
  for (const char* ref : {"ties", "ties@tensor", "ties@mergekit", "dare_ties"}) {
    CAPTURE(ref);
    Json all{{"density", 1}, {"scale", 1}};
    if (std::string(ref) == "dare_ties") all["drop"] = 0;
    CHECK(distance(merge_one(ref, all, base, {delta}), delta) < 1e-7);
    CHECK(at::equal(merge_one(ref, all, base, {base}), base));
    Json few = all;
    few["density"] = .2;  // int(0.2 * 4) = 0
    const at::Tensor kept = merge_one(ref, few, base, {delta});
    CHECK((kept != 0).sum().item<int64_t>() >= 1);
    CHECK(kept[1].item<float>() == -.4f);
  }
}

TEST_CASE("pitfall 3: the sum of agreeing entries at scale 1 is as many times their mean",
          "[methods][pitfall-3]") {
  const at::Tensor base = at::zeros({3});
  const std::vector<at::Tensor> experts{at::tensor({1.0f, 1.0f, -1.0f}),
                                        at::tensor({3.0f, 2.0f, 4.0f}),
                                        at::tensor({2.0f, -9.0f, 2.0f})};
  const auto ties = [&](const char* reduce) {
    return merge_one("ties", {{"density", 1}, {"reduce", reduce}, {"scale", 1}}, base, experts);
  };
  CHECK(at::equal(ties("sum_agree"), at::tensor({6.0f, -9.0f, 6.0f})));
  CHECK(at::equal(ties("mean_agree"), at::tensor({2.0f, -9.0f, 3.0f})));
}

TEST_CASE("pitfall 4: a tied head does not count twice in thresholds over a model",
          "[methods][pitfall-4]") {
  // Of the ten entries that there are, the two largest are the embedding's. Counted twice they
  // would be four of fourteen, and the threshold another.
  const auto model = [](const at::Tensor& embedding, const at::Tensor& layer) {
    return MergeModel{source("a model", {{"model.embed_tokens.weight", embedding},
                                         {"lm_head.weight", embedding},
                                         {"layer.weight", layer}}),
                      {{"tie_word_embeddings", true}}};
  };
  const MergeModel base = model(at::zeros({2, 2}), at::zeros({2, 3}));
  const MergeModel expert = model(at::tensor({9.0f, 8.0f, 1.0f, 2.0f}).view({2, 2}),
                                  at::tensor({3.0f, 4.0f, 5.0f, 6.0f, 7.0f, .5f}).view({2, 3}));
  const Reconciled once = reconcile({base, expert}, {});
  MergeInputs inputs;
  inputs.base = once.sources[0];
  inputs.experts = {once.sources[1]};

  // Four of ten, and the entry at the threshold.
  const StateDict kept = merge("ties", {{"density", .4}}, inputs);
  CHECK(kept.count("lm_head.weight") == 0);
  CHECK((kept.at("model.embed_tokens.weight") != 0).sum().item<int64_t>() == 2);
  CHECK((kept.at("layer.weight") != 0).sum().item<int64_t>() == 3);
}

TEST_CASE("pitfall 7: arithmetic in float32 and in the storage dtype are both reproducible",
          "[methods][pitfall-7]") {
  const auto narrow = [](const at::Tensor& values) { return values.to(at::kBFloat16); };
  const at::Tensor base = narrow(noise({64, 40}, 1));
  std::vector<at::Tensor> experts;
  for (uint64_t i = 2; i < 5; ++i)
    experts.push_back(narrow(base.to(at::kFloat) + .01f * noise({64, 40}, i)));
  for (const char* ref : {"ties", "task_arithmetic", "breadcrumbs", "model_stock", "sce"}) {
    CAPTURE(ref);
    at::Tensor found[2];
    for (const char* compute : {"float32", "storage"}) {
      const auto run = [&](int threads) {
        const Threads used(threads);
        return merge_one(ref, {{"compute", compute}}, base, experts);
      };
      const at::Tensor one = run(1);
      CHECK(one.scalar_type() == at::kBFloat16);
      CHECK(at::equal(one, run(3)));
      found[std::string(compute) == "storage"] = one;
    }
    CHECK_FALSE(at::equal(found[0], found[1]));  // what rounding every step comes to
  }
}

TEST_CASE("pitfall 13: sweeps draw random methods three times at least", "[methods][pitfall-13]") {
  const fs::path folder = fs::path(ASSAY_TESTS_FOLDER).parent_path() / "sweeps";
  size_t randomized = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    CAPTURE(entry.path());
    const Json sweep = parse_json(read_file(entry.path()), entry.path().string());
    const size_t seeds = sweep.contains("seeds") ? sweep.at("seeds").size() : 1;
    for (const Json& row : sweep.at("methods")) {
      const std::string ref =
          row.is_string() ? row.get<std::string>() : row.at("method").get<std::string>();
      const Json parameters =
          row.is_string() ? Json::object() : row.value("parameters", Json::object());
      if (!MethodConfiguration::read(ref, JsonReader(parameters, "test")).randomized()) continue;
      ++randomized;
      CHECK(seeds >= 3);
    }
  }
  CHECK(randomized > 0);
}

TEST_CASE("pitfall 13: what is dropped depends on the merge's seed, not on the training's",
          "[methods][pitfall-13]") {
  // Experts of two training seeds, which are other weights under the same names.
  const at::Tensor base = at::zeros({1000});
  const auto dropped = [&](const at::Tensor& expert, uint64_t seed) {
    MergeInputs inputs = one_tensor_inputs(base, {expert});
    inputs.seed = seed;
    return merge("dare", Json::object(), inputs).at("w") == 0;
  };
  const at::Tensor one = at::full({1000}, 1.0f), other = at::full({1000}, 2.0f);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    CHECK(at::equal(dropped(one, seed), dropped(other, seed)));
    CHECK_FALSE(at::equal(dropped(one, seed), dropped(one, seed + 1)));
  }
}
