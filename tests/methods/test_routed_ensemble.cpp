#include <cmath>

#include "harness/method/hidden_states.h"
#include "harness/model/routed.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const at::Tensor kIds = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({2, 4});

at::Tensor routed_logits(const MergeReport& report, const StateDict& merged) {
  const auto model = make_architecture(JsonReader(*report.config, "test"));
  return model->logits(load_weights(*model, *source("model", merged), at::kCPU), kIds);
}

/// Row by row, as a routed ensemble answers: products of more rows may be rounded otherwise.
at::Tensor member_logits(uint64_t key) {
  const auto model = make_architecture(JsonReader(small_llama_config(), "test"));
  const StateDict weights = small_model(key);
  return at::cat(
      {model->logits(weights, kIds.narrow(0, 0, 1)), model->logits(weights, kIds.narrow(0, 1, 1))});
}

/// Each expert's examples sum to one value more of the embedding than the one's before.
class SummedEmbeddings : public FakeNetwork, public HiddenStates {
 public:
  SummedEmbeddings()
      : FakeNetwork({3, 2}, [](const StateDict&, size_t, int64_t, int64_t) -> at::Tensor {
          throw std::logic_error("no logits");
        }) {}
  std::vector<at::Tensor> states(size_t, int64_t, int64_t, Tap, Tokens) const override {
    throw std::logic_error("no states");
  }
  at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const override {
    at::Tensor all = at::zeros({3, 8}, at::kDouble);
    all.select(1, 0).fill_(3);
    if (expert == 1) all.select(1, 1).fill_(4);
    return all.narrow(0, first, count);
  }
  /// Expert 0 has the texts (0 1), (0 0) and (0 1), expert 1 has (0 2) twice.
  at::Tensor token_counts(size_t expert, int64_t first, int64_t count) const override {
    at::Tensor all = at::zeros({3, 16}, at::kDouble);
    all.select(1, 0).fill_(1);
    if (expert == 0) {
      all[1][0] = 2;
      all[0][1] = all[2][1] = 1;
    } else {
      all.select(1, 2).fill_(1);
    }
    return all.narrow(0, first, count);
  }
};

/// Texts as tokens, of each expert its own.
class CountedTexts : public FakeNetwork, public HiddenStates {
 public:
  using Texts = std::vector<std::vector<std::vector<int64_t>>>;
  explicit CountedTexts(Texts texts)
      : FakeNetwork(numbers(texts),
                    [](const StateDict&, size_t, int64_t, int64_t) -> at::Tensor {
                      throw std::logic_error("no logits");
                    }),
        texts_(std::move(texts)) {}
  std::vector<at::Tensor> states(size_t, int64_t, int64_t, Tap, Tokens) const override {
    throw std::logic_error("no states");
  }
  at::Tensor embedding_sums(size_t, int64_t, int64_t) const override {
    throw std::logic_error("no embeddings");
  }
  at::Tensor token_counts(size_t expert, int64_t first, int64_t count) const override {
    at::Tensor all = at::zeros({count, 16}, at::kDouble);
    for (int64_t i = 0; i < count; ++i)
      for (const int64_t token : texts_[expert][static_cast<size_t>(first + i)]) all[i][token] += 1;
    return all;
  }

 private:
  static std::vector<int64_t> numbers(const Texts& texts) {
    std::vector<int64_t> all;
    for (const auto& of_expert : texts) all.push_back(std::ssize(of_expert));
    return all;
  }
  Texts texts_;
};

}  // namespace

TEST_CASE("a routed ensemble holds its members", "[methods][moe][routed]") {
  const MergeInputs inputs = small_models(2);
  MergeReport report;
  const StateDict merged =
      merge("routed_ensemble", {{"router", "uniform"}, {"base_expert", true}}, inputs, &report);
  for (size_t i = 0; i < 2; ++i)
    for (const TensorInfo& tensor : inputs.experts[i]->tensors())
      CHECK(at::equal(merged.at(fmt::format("members.{}.{}", i, tensor.name)),
                      inputs.experts[i]->read(tensor.name)));
  for (const TensorInfo& tensor : inputs.base->tensors())
    CHECK(at::equal(merged.at("members.2." + tensor.name), inputs.base->read(tensor.name)));
  CHECK(report.config->at("model_type") == "assay_routed");
  CHECK(report.config->at("members") == 3);

  at::Tensor mean = at::zeros({2, 4, 16}, at::kDouble);
  for (const uint64_t key : {1, 2, 0}) mean += at::softmax(member_logits(key), -1, at::kDouble) / 3;
  CHECK(distance(at::softmax(routed_logits(report, merged), -1, at::kDouble), mean) <= 1e-5);
}

TEST_CASE("a routed ensemble of one expert is the expert", "[methods][moe][routed]") {
  MergeInputs inputs = small_models(1);
  for (const char* router : {"perplexity", "task_vector_gradient", "random"}) {
    MergeReport report;
    const StateDict merged =
        merge("routed_ensemble", {{"router", router}, {"top_k", 1}}, inputs, &report);
    CHECK(at::equal(routed_logits(report, merged), member_logits(1)));
  }
}

TEST_CASE("a routed ensemble finds the expert whose text the prompt is", "[methods][moe][routed]") {
  const MergeInputs inputs = small_models(3);
  MergeReport report;
  const StateDict merged = merge("routed_ensemble", {{"top_k", 1}}, inputs, &report);
  const auto any = make_architecture(JsonReader(*report.config, "test"));
  const auto& routed = dynamic_cast<const RoutedArchitecture&>(*any);
  const auto dense = make_architecture(JsonReader(small_llama_config(), "test"));
  for (size_t expert = 0; expert < 3; ++expert) {
    TokenIds text{3};  // what this expert itself goes on with
    const StateDict weights = small_model(expert + 1);
    while (text.size() < 12) {
      const std::vector<int64_t> ids(text.begin(), text.end());
      const at::Tensor logits = dense->logits(weights, at::tensor(ids, at::kLong).unsqueeze(0));
      text.push_back(static_cast<TokenId>(logits[0][-1].argmax().item<int64_t>()));
    }
    CHECK(routed.decide(merged, text).at(expert) == 1);
  }
}

TEST_CASE("rows of sequence_embedding are unit vectors of the experts' examples",
          "[methods][moe][routed]") {
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<SummedEmbeddings>();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &evidence;
  for (const int batch : {1, 8}) {
    const StateDict merged =
        merge("routed_ensemble", {{"router", "sequence_embedding"}, {"batch", batch}}, inputs);
    const at::Tensor& rows = merged.at("router.rows.weight");
    CHECK(rows[0][0].item<double>() == Approx(1));
    CHECK(rows[1][0].item<double>() == Approx(0.6));
    CHECK(rows[1][1].item<double>() == Approx(0.8));
    CHECK(at::equal(merged.at("router.embedding.weight"),
                    inputs.base->read("model.embed_tokens.weight")));
  }
}

TEST_CASE("rows of tfidf are the mean of unit vectors", "[methods][moe][routed]") {
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<SummedEmbeddings>();
  MergeInputs inputs = small_models(2);
  inputs.evidence = &evidence;
  for (const int batch : {1, 8}) {
    MergeReport report;
    const StateDict merged = merge(
        "routed_ensemble", {{"router", "tfidf"}, {"top_k", 1}, {"batch", batch}}, inputs, &report);
    // All five texts have token 0, two have 1 and two have 2.
    const double rare = std::log(6. / 3) + 1;
    const at::Tensor& idf = merged.at("router.idf.weight");
    CHECK(idf[0].item<double>() == Approx(1));
    CHECK(idf[1].item<double>() == Approx(rare));
    CHECK(idf[2].item<double>() == Approx(rare));
    CHECK(idf[3].item<double>() == Approx(std::log(6.) + 1));
    const double length = std::sqrt(1 + rare * rare);
    const at::Tensor& rows = merged.at("router.rows.weight");
    CHECK(rows[1][0].item<double>() == Approx(1 / length));
    CHECK(rows[1][2].item<double>() == Approx(rare / length));
    CHECK(rows[0][0].item<double>() / rows[0][1].item<double>() ==
          Approx((1 + 2 / length) / (2 * rare / length)));

    const auto any = make_architecture(JsonReader(*report.config, "test"));
    const StateDict weights = load_weights(*any, *source("model", merged), at::kCPU);
    const auto& routed = dynamic_cast<const RoutedArchitecture&>(*any);
    CHECK(routed.decide(weights, {0, 2, 5}) == std::vector<double>{0, 1});
    CHECK(routed.decide(weights, {0, 0, 1}) == std::vector<double>{1, 0});
  }
}

// scripts/peers/text_router.py: scikit-learn's TfidfTransformer and LogisticRegression.
TEST_CASE("a learned router of texts is the logistic regression of their counts",
          "[methods][moe][routed][golden]") {
  const Json golden = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/text_router.json");
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<CountedTexts>(
      golden["texts"].get<std::vector<std::vector<std::vector<int64_t>>>>());
  MergeInputs inputs = small_models(3);
  inputs.evidence = &evidence;
  for (const int batch : {1, 8}) {
    MergeReport report;
    const StateDict merged = merge("routed_ensemble",
                                   {{"router", "logistic"},
                                    {"top_k", 3},
                                    {"weight_decay", golden["weight_decay"]},
                                    {"batch", batch}},
                                   inputs, &report);
    const at::Tensor& idf = merged.at("router.idf.weight");
    const at::Tensor& rows = merged.at("router.rows.weight");
    for (int64_t token = 0; token < 16; ++token) {
      const auto at = static_cast<size_t>(token);
      CHECK(idf[token].item<double>() == Approx(golden["idf"][at].get<double>()));
      for (int64_t i = 0; i < 3; ++i)
        CHECK(rows[i][token].item<double>() ==
              Approx(golden["rows"][static_cast<size_t>(i)][at].get<double>()).margin(1e-5));
    }
    const auto any = make_architecture(JsonReader(*report.config, "test"));
    const StateDict weights = load_weights(*any, *source("model", merged), at::kCPU);
    const auto& routed = dynamic_cast<const RoutedArchitecture&>(*any);
    for (size_t k = 0; k < golden["prompts"].size(); ++k) {
      const std::vector<double> shares =
          routed.decide(weights, golden["prompts"][k].get<TokenIds>());
      for (size_t i = 0; i < 3; ++i)
        CHECK(shares[i] == Approx(golden["shares"][k][i].get<double>()).margin(1e-5));
    }
  }
}

TEST_CASE("chance depends on the seed", "[methods][moe][routed]") {
  MergeInputs inputs = small_models(2);
  const Json parameters = {{"router", "random"}, {"top_k", 1}};
  const auto rows = [&](uint64_t seed) {
    inputs.seed = seed;
    return merge("routed_ensemble", parameters, inputs).at("router.rows.weight");
  };
  CHECK(at::equal(rows(1), rows(1)));
  CHECK_FALSE(at::equal(rows(1), rows(2)));
}

TEST_CASE("a routed ensemble refuses what it cannot do", "[methods][moe][routed]") {
  const MergeInputs inputs = small_models(2);
  CHECK_THROWS_WITH(merge("routed_ensemble", {{"top_k", 3}}, inputs),
                    Contains("3 experts") && Contains("there are 2"));
  CHECK_THROWS_WITH(merge("routed_ensemble", {{"ascent", true}}, inputs),
                    Contains("task_vector_gradient"));
  CHECK_THROWS_WITH(
      merge("routed_ensemble", {{"router", "sequence_embedding"}, {"base_expert", true}}, inputs),
      Contains("base_expert"));
}

TEST_CASE("what experts do not keep is merged", "[methods][moe][routed]") {
  const MergeInputs inputs = small_models(2);
  const auto mean = [&](const std::string& name) {
    return (inputs.experts[0]->read(name) + inputs.experts[1]->read(name) +
            inputs.base->read(name)) /
           3;
  };
  const std::string norm = "model.layers.0.input_layernorm.weight";
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  const std::string up = "model.layers.0.mlp.up_proj.weight";
  MergeReport report;
  const StateDict apart = merge("routed_ensemble@mergeme", Json::object(), inputs, &report);
  CHECK(distance(apart.at("model.embed_tokens.weight"), mean("model.embed_tokens.weight")) <= 1e-6);
  CHECK(distance(apart.at(norm), mean(norm)) <= 1e-6);
  CHECK(apart.count(query) == 0);
  CHECK(at::equal(apart.at("members.1." + norm), inputs.experts[1]->read(norm)));
  CHECK(routed_logits(report, apart).isfinite().all().item<bool>());

  const StateDict merged =
      merge("routed_ensemble@mergeme_merged_attention", Json::object(), inputs);
  CHECK(distance(merged.at(query), mean(query)) <= 1e-6);
  CHECK(merged.count(up) == 0);

  // DARE that drops nothing is the sum of task vectors.
  const StateDict summed = merge(
      "routed_ensemble",
      {{"own", "layers"}, {"shared", {{"method", "dare"}, {"drop", 0}, {"scale", 0.5}}}}, inputs);
  const at::Tensor wanted = (inputs.experts[0]->read(norm) + inputs.experts[1]->read(norm)) / 2;
  CHECK(distance(summed.at(norm), wanted) <= 1e-5);

  CHECK_THROWS_WITH(merge("routed_ensemble", {{"mix", "layers"}}, inputs), Contains("'own'"));
}

TEST_CASE("experts of all families keep their layers", "[methods][moe][routed]") {
  // As wide as the vocabulary, so that other matrices have as many rows as the embedding.
  const Json gpt2 = {{"model_type", "gpt2"}, {"vocab_size", 16}, {"n_positions", 32},
                     {"n_embd", 16},         {"n_layer", 2},     {"n_head", 2}};
  for (const Json& config : {small_mixtral_config(), gpt2}) {
    CAPTURE(config);
    MergeReport report;
    const StateDict merged = merge("routed_ensemble", {{"own", "layers"}, {"router", "random"}},
                                   small_models(2, config), &report);
    for (const std::string& name : report.config->at("shared").get<std::vector<std::string>>())
      for (const char* kept : {"attn.", "mlp.", "block_sparse_moe."}) {
        CAPTURE(name);
        CHECK(name.find(kept) == std::string::npos);
      }
    CHECK_FALSE(report.config->at("shared").empty());
    CHECK(routed_logits(report, merged).isfinite().all().item<bool>());
  }
}

TEST_CASE("equal experts answer as one, however they are mixed", "[methods][moe][routed]") {
  MergeInputs inputs = small_models(3);
  inputs.experts.assign(3, inputs.experts.front());
  const at::Tensor wanted = member_logits(1).log_softmax(-1);
  for (const char* own : {"everything", "layers", "feed_forward"})
    for (const char* mix : {"probabilities", "logits", "layers"}) {
      if (own == std::string("everything") && mix == std::string("layers")) continue;
      CAPTURE(own, mix);
      MergeReport report;
      const StateDict merged =
          merge("routed_ensemble", {{"own", own}, {"mix", mix}}, inputs, &report);
      CHECK(distance(routed_logits(report, merged).log_softmax(-1), wanted) <= 1e-4);
    }
}
