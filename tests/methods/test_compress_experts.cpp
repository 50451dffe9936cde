#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/sweep/internal/model_size.h"
#include "methods/moe/sparse_low_rank.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kFirst = "model.layers.0.block_sparse_moe.experts.0.w1.weight";

/// A network that reads the first expert's input matrix alone.
FakeEvidence first_matrix() {
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{64},
      [](const StateDict& weights, size_t, int64_t first, int64_t count) {
        return at::linear(noise({64, 8}, 5).narrow(0, first, count), weights.at(kFirst));
      },
      [](size_t, int64_t first, int64_t count) {  // of the first three rows alone
        return at::arange(first, first + count).remainder(3);
      });
  return evidence;
}

MergeInputs mixture_of(const StateDict& model, const Evidence& evidence) {
  MergeInputs inputs;
  inputs.config = small_mixtral_config();
  inputs.experts = {source("mixture", model)};
  inputs.evidence = &evidence;
  return inputs;
}

}  // namespace

TEST_CASE("the share of rows that are left follows the published schedule", "[methods][moe]") {
  const RestSchedule schedule{10000, 400, 1600, 0.1};
  CHECK(schedule.share(1) == 1);
  CHECK(schedule.share(400) == 1);
  CHECK(schedule.share(401) == Approx(0.999663).epsilon(1e-6));
  CHECK(schedule.share(2400) == Approx(0.479688).epsilon(1e-5));
  CHECK(schedule.share(4400) == Approx(0.2125));
  CHECK(schedule.share(6400) == Approx(0.114063).epsilon(1e-5));
  CHECK(schedule.share(8400) == Approx(0.1));
  CHECK(schedule.share(10000) == 0.1);
  CHECK(RestSchedule{3, 4, 16, 0.1}.share(1) == 0.1);
}

TEST_CASE("the rank is the published one", "[methods][moe]") {
  CHECK(rank_of(3072, 768, 5.0 / 96) == 32);
  CHECK(rank_of(768, 3072, 5.0 / 96) == 32);
  CHECK(rank_of(4, 8, 1) == 3);  // ceil(32 / 12)
}

TEST_CASE("the factors and the rest are the matrix", "[methods][moe]") {
  const at::Tensor matrix = noise({12, 8}, 1).to(at::kDouble);
  for (const int64_t rank : {1, 3, 8}) {
    const SparseLowRank made(matrix, rank);
    CHECK(at::allclose(made.whole(), matrix, 1e-12, 1e-14));
    CHECK(at::linalg_matrix_rank(made.left.mm(made.right)).item<int64_t>() == rank);
    CHECK(made.left.norm().item<double>() == Approx(made.right.norm().item<double>()));
    // A singular value decomposition leaves no rank-one part that the rest could do with.
    const auto s = std::get<1>(at::linalg_svd(matrix, false));
    CHECK(made.rest.norm().item<double>() ==
          Approx(s.narrow(0, rank, 8 - rank).norm().item<double>()).margin(1e-12));
  }
}

TEST_CASE("importance lags a step", "[methods][moe]") {
  SparseLowRank made(at::eye(2, at::kDouble), 1);
  made.rest = at::full({2, 2}, -2, at::kDouble);
  made.observe(at::full({2, 2}, 3, at::kDouble), 0.85);
  CHECK(made.importance.max().item<double>() == 0);
  made.observe(at::zeros({2, 2}, at::kDouble), 0.85);
  CHECK(made.importance.min().item<double>() == Approx(0.15 * 6));
  made.observe(at::zeros({2, 2}, at::kDouble), 0.85);
  CHECK(made.importance.min().item<double>() == Approx(0.85 * 0.15 * 6));
}

TEST_CASE("the rows that matter least are dropped, of all matrices together", "[methods][moe]") {
  std::vector<SparseLowRank> matrices;
  for (uint64_t i = 0; i < 2; ++i) {
    SparseLowRank& one = matrices.emplace_back(noise({5, 4}, i).to(at::kDouble), 1);
    one.rest = at::ones({5, 4}, at::kDouble);
    one.importance = (at::arange(5, at::kDouble) + 5.0 * static_cast<double>(i)).unsqueeze(1) *
                     at::tensor({0., 2., 1., 1.}, at::kDouble);  // the row's mean is its number
  }
  drop_rows(matrices, 1);
  CHECK(matrices[0].rows() + matrices[1].rows() == 10);
  drop_rows(matrices, 0.3);  // seven of ten: entries below the 28th smallest, which the 7th row has
  CHECK(matrices[0].rows() == 0);
  CHECK(matrices[1].rows() == 4);
  CHECK(matrices[1].rest[0].sum().item<double>() == 0);
  CHECK(matrices[1].parameters() == 5 + 4 + 4 * 4);
  drop_rows(matrices, 0.1);
  CHECK(matrices[1].rows() == 2);
}

TEST_CASE("compressing with all rows leaves the mixture as it is", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = first_matrix();
  MergeReport report;
  const StateDict same =
      merge("compress_experts", {{"rest", 1}}, mixture_of(model, evidence), &report);
  for (const auto& [name, tensor] : model) CHECK(distance(same.at(name), tensor) <= 1e-6);
  CHECK(report.diagnostics.at("rows_left") == 1);
}

TEST_CASE("without training the rows that the loss does not read are dropped", "[methods][moe]") {
  StateDict model = small_model(1, small_mixtral_config());
  // A second expert that is equal to the first is compressed with it.
  for (const char* part : {"w1", "w2", "w3"})
    model[fmt::format("model.layers.0.block_sparse_moe.experts.1.{}.weight", part)] =
        model.at(fmt::format("model.layers.0.block_sparse_moe.experts.0.{}.weight", part));
  const FakeEvidence evidence = first_matrix();
  MergeReport report;
  const StateDict compressed = merge("compress_experts", {{"rest", 0.005}, {"rank_ratio", 0.2}},
                                     mixture_of(model, evidence), &report);
  CHECK(at::equal(compressed.at(kFirst),
                  compressed.at("model.layers.0.block_sparse_moe.experts.1.w1.weight")));
  // Matrices without a gradient keep their low-rank part alone: rank 1 of 12 x 8.
  const at::Tensor other =
      compressed.at("model.layers.1.block_sparse_moe.experts.3.w2.weight").to(at::kDouble);
  CHECK(at::linalg_matrix_rank(other, 1e-5).item<int64_t>() == 1);
  CHECK(at::linalg_matrix_rank(compressed.at(kFirst).to(at::kDouble), 1e-5).item<int64_t>() > 1);
  // 11 different experts of three matrices.
  CHECK(report.diagnostics.at("parameters_of_experts") == 11 * 3 * 96);
  const double rows = report.diagnostics.at("rows_left").get<double>() * 11 * (12 + 8 + 12);
  CHECK(rows >= 1);
  CHECK(rows <= 3);
}

TEST_CASE("factors and rows are the same function as their sums, and as large as they say",
          "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = first_matrix();
  const Json parameters{{"rest", 0.005}, {"rank_ratio", 0.2}};
  const StateDict sums = merge("compress_experts", parameters, mixture_of(model, evidence));
  Json factors = parameters;
  factors["store"] = "factors";
  MergeReport report;
  const StateDict stored = merge("compress_experts", factors, mixture_of(model, evidence), &report);
  const Json& config = *report.config;
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});
  const auto architecture = make_architecture(JsonReader(config, "test"));
  const auto scores_of = [&](const Architecture& of, const StateDict& weights) {
    return of.logits(load_weights(of, *source("model", weights), at::kCPU), ids);
  };
  CHECK(at::allclose(
      scores_of(*architecture, stored),
      scores_of(*make_architecture(JsonReader(small_mixtral_config(), "test")), sums), 1e-5, 1e-5));

  // Rows are left where there are gradients: of the first matrix.
  CHECK(stored.count(kFirst) == 0);
  int64_t values = 0, masks = 0, rows = 0;
  for (const auto& [name, tensor] : stored)
    if (name.find(".experts.") != std::string::npos)
      (name.ends_with(".kept") ? masks : values) += tensor.numel();
  for (const auto& [name, matrix] : config.at("low_rank_experts").items()) {
    CHECK(matrix.at("rank") == 1);  // ceil(0.2 * 12 * 8 / 20)
    rows += matrix.at("rows").get<int64_t>();
    CHECK(stored.contains(name + ".rest.weight") == (matrix.at("rows") > 0));
  }
  CHECK(config.at("low_rank_experts").size() == 2 * 6 * 3);
  CHECK(report.diagnostics.at("parameters_left") == values);
  CHECK(stored.contains("model.layers.0.block_sparse_moe.experts.0.w1.rest.weight"));
  CHECK(rows >= 1);
  CHECK(rows <= 3);
  CHECK(static_cast<double>(values) <= 0.3 * 2 * 6 * 3 * 96);

  // What it takes to store and to run is what is counted.
  ForwardProfiles profiles;
  const ModelSize size = model_size(*architecture, *source("model", stored), profiles);
  int64_t bytes = 0, others = 0;
  for (const auto& [name, tensor] : stored) {
    bytes += 4 * tensor.numel();
    if (name.find(".experts.") == std::string::npos && name.find("norm") == std::string::npos &&
        name.find("embed") == std::string::npos)
      others += 2 * tensor.numel();
  }
  CHECK(size.bytes == bytes);
  // Two experts of six in each of the blocks, as the mean over them.
  CHECK(static_cast<double>(size.flops.value()) ==
        Approx(static_cast<double>(others) + 2.0 * static_cast<double>(values) * 2 / 6).margin(2));
}

TEST_CASE("what another method made of the mixture is compressed", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = first_matrix();
  const Json merging{{"method", "merge_experts"},     {"experts", 2},
                     {"allocation", "uniform"},       {"grouping", "linkage"},
                     {"similarity", "expert_weight"}, {"merge", "uniform"}};
  Json own = merging;
  own.erase("method");
  MergeInputs merged =
      mixture_of(merge("merge_experts", own, mixture_of(model, evidence)), evidence);
  for (const char* store : {"sums", "factors"}) {
    CAPTURE(store);
    const Json parameters{{"rest", 0.05}, {"rank_ratio", 0.2}, {"store", store}};
    Json both = parameters;
    both["of"] = merging;
    const StateDict at_once = merge("compress_experts", both, mixture_of(model, evidence));
    CHECK(same_bytes(at_once, merge("compress_experts", parameters, merged)));
  }
  CHECK_THROWS_WITH(
      merge("compress_experts", {{"of", "prune_experts"}}, mixture_of(model, evidence)),
      Contains("of prune_experts has others"));
  CHECK_THROWS_WITH(merge("compress_experts", {{"of", "tsv_c"}}, mixture_of(model, evidence)),
                    Contains("does not give one mixture"));
}

TEST_CASE("what is stored as factors is not taken for a mixture's matrices", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = first_matrix();
  MergeReport report;
  const StateDict stored = merge("compress_experts", {{"store", "factors"}, {"rest", 0.005}},
                                 mixture_of(model, evidence), &report);
  MergeInputs again = mixture_of(stored, evidence);
  again.config = *report.config;
  CHECK_THROWS_WITH(merge("compress_experts", Json::object(), again),
                    Contains("feed-forwards without biases"));
  CHECK_THROWS_WITH(merge("compress_experts", {{"store", "factors"}, {"rank_ratio", 0}},
                          mixture_of(model, evidence)),
                    Contains("'rank_ratio' is to be above 0"));
  CHECK_THROWS_WITH(merge("compress_experts", {{"steps", 0}}, mixture_of(model, evidence)),
                    Contains("'steps' is 0"));

  StateDict broken = stored;
  for (auto& [name, tensor] : broken)
    if (name.ends_with(".kept")) tensor = at::ones_like(tensor);
  const auto architecture = make_architecture(JsonReader(*report.config, "test"));
  CHECK_THROWS_WITH(architecture->logits(broken, at::arange(16, at::kLong).view({1, 16})),
                    Contains("keeps"));
}

TEST_CASE("training makes up for what compression loses", "[methods][moe]") {
  const StateDict model = small_model(1, small_mixtral_config());
  const FakeEvidence evidence = first_matrix();
  const auto loss = [&](const StateDict& weights) {
    return at::cross_entropy_loss(evidence.network().logits(weights, 0, 0, 64),
                                  evidence.network().targets(0, 0, 64))
        .item<double>();
  };
  const auto compressed = [&](double rate, double distillation) {
    return merge(
        "compress_experts",
        {{"rest", 0.005}, {"learning_rate", rate}, {"distillation", distillation}, {"steps", 60}},
        mixture_of(model, evidence));
  };
  const StateDict untrained = compressed(0, 0), trained = compressed(0.01, 0);
  CHECK(loss(trained) < loss(untrained));
  // Scores that are held to the whole mixture's are nearer to them.
  const auto away = [&](const StateDict& weights) {
    return (evidence.network().logits(weights, 0, 0, 64) -
            evidence.network().logits(model, 0, 0, 64))
        .square()
        .mean()
        .item<double>();
  };
  CHECK(away(compressed(0.01, 10)) < away(trained));
}
